/** Says to everybody, also to those who do not see it, what has come of what they did. Not for what changes by itself. */

import { byId, setText } from "./elements.js";

const LONG_ENOUGH = 8000; // milliseconds
let end;

/** Says it in the page for a while; or, if it is `quiet` because the page shows it anyway, only to screen readers. */
export function announce(text, { quiet = false } = {}) {
  const announcer = byId("announcer");
  announcer.classList.toggle("spoken", quiet);
  setText(announcer, text);
  clearTimeout(end);
  end = setTimeout(() => {
    announcer.classList.add("spoken");
    setText(announcer, "");
  }, LONG_ENOUGH);
}
