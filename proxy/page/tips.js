/**
 * Explanations of what is short: shown beside an element with `data-tip` while the pointer or the focus is on it.
 *
 * They can be pointed at themselves, stay as long as that, and Escape ends them (WCAG 2.1, 1.4.13).
 */

import { byId, setText } from "./elements.js";
import { SMALL } from "./small.js";

const GAP = 6; // pixels
let owner = null;

/** Makes the page's tips work. */
export function explain() {
  document.addEventListener("pointerover", (event) => follow(event.target));
  document.addEventListener("focusin", (event) => follow(event.target));
  document.addEventListener("focusout", hide);
  document.addEventListener("scroll", settle, { capture: true, passive: true });
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
}

function follow(target) {
  const tip = byId("tip");
  if (tip.contains(target)) return;
  const next = target.closest?.("[data-tip]") ?? null;
  if (next === owner) return;
  hide();
  if (next !== null) show(tip, next);
}

function show(tip, next) {
  owner = next;
  setText(tip, owner.dataset.tip);
  owner.setAttribute("aria-describedby", tip.id);
  tip.showPopover();
  settle();
}

/**
 * Puts it above its owner, which may have been scrolled, so that what stands beside and below can be read with it; where there
 * is no room, below; and on a small screen to the edge that is farther away.
 */
function settle() {
  if (owner === null) return;
  const tip = byId("tip");
  const around = owner.getBoundingClientRect();
  const bottom = innerHeight - GAP - tip.offsetHeight;
  const above = around.top - GAP - tip.offsetHeight;
  const beside = above >= GAP ? above : around.bottom + GAP;
  const apart = around.top < innerHeight / 2 ? bottom : GAP;
  tip.style.top = `${SMALL.matches ? apart : beside}px`;
  tip.style.left = `${Math.max(GAP, Math.min(around.left, innerWidth - tip.offsetWidth - GAP))}px`;
}

function hide() {
  if (owner === null) return;
  owner.removeAttribute("aria-describedby");
  owner = null;
  byId("tip").hidePopover();
}
