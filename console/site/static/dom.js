// el makes an element: attributes (properties if they begin with "."), then children.
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith(".")) node[name.slice(1)] = value;
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

// setText leaves alone what is right already, so that no screen reader hears it again.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// oncePerFrame returns a function that has f called at the next frame, once.
export function oncePerFrame(f) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      f();
    });
  };
}
