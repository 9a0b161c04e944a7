// The token that this tab's user signed in with, here or on another of this
// hub's pages. It is kept until the tab is closed, or for the page alone where
// storage is forbidden.

const KEY = "tidings.token";
const listeners = new Set();
let token = stored();

export const signedIn = () => token !== "";

// authorized adds the token, if there is one, to a request's headers.
export const authorized = (headers = {}) => (token ? { ...headers, Authorization: `Bearer ${token}` } : headers);

// signIn keeps a token, or "" to forget it.
export function signIn(value) {
  token = value.trim();
  try {
    if (token) sessionStorage.setItem(KEY, token);
    else sessionStorage.removeItem(KEY);
  } catch {
    // not kept
  }
  for (const f of listeners) f();
}

// onSignIn hears of another token.
export const onSignIn = (f) => listeners.add(f);

function stored() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}
