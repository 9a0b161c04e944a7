// An answer as far as it has come.

export class Answer {
  id;
  prompt = null;
  model = "";
  local = false; // written by a program, not by a language model
  tokens = 0;
  missing = 0; // tokens whose number was skipped
  replayed = 0; // tokens that were there before the page was
  done = null;

  #begun = false;
  #next = 0;
  #unseen = [];
  #times = [];

  constructor(id) {
    this.id = id;
  }

  get running() {
    return this.#begun && !this.done;
  }

  // asked is for what this page asks itself: it runs from then on.
  asked({ prompt }) {
    this.prompt = prompt;
    this.#begun = true;
  }

  begin({ prompt, model, local }) {
    this.asked({ prompt });
    Object.assign(this, { model, local });
  }

  add({ i, text, t }) {
    if (i < this.#next) return; // had already
    this.missing += i - this.#next;
    this.#next = i + 1;
    this.tokens++;
    const old = t < performance.timeOrigin;
    if (old) this.replayed++;
    this.#times.push(t);
    this.#unseen.push({ text, old });
  }

  end(done) {
    this.done = done;
  }

  // rate is tokens per second, as the publisher's clock has it.
  get rate() {
    const seconds = (this.#times.at(-1) - this.#times[0]) / 1000;
    return seconds > 0 ? ((this.tokens - 1) / seconds).toFixed(0) : "–";
  }

  // unseen returns what has come since it was asked last.
  unseen() {
    return this.#unseen.splice(0);
  }
}
