/** The lists of operations: those that are under way, and those that are settled. */

import { AS_ABOVE, badge, finding, moment, request, text } from "./cells.js";
import { element, setAttribute, setText } from "./elements.js";
import { Table } from "./table.js";
import { age, count, duration, size, visible } from "./words.js";

const SETTLED = ["settled", "completed", "failed", "dismissed"];
const TITLES = {
  unsettled: "Queued and running",
  queued: "Queued",
  running: "Running",
  settled: "Settled",
  completed: "Completed",
  failed: "Failed",
  dismissed: "Cancelled",
};
const STATES = {
  queued: "It waits for its turn at the origin. No byte of its request was sent yet.",
  running: "Its request was sent to the origin, and the response is not complete yet.",
  completed: "The origin’s response is stored whole, and served from the status URL.",
  failed: "There is no usable response of the origin’s; the status URL tells its client why.",
  dismissed: "Its client or an operator cancelled it, or its route did when the client left. The log and JSON say dismissed.",
};

/** What a state is called here: by the word of the button that leads to it. */
export const wordOf = (state) => (state === "dismissed" ? "cancelled" : state);

/** The title of the list of operations in this state. */
export const titleOf = (state) => TITLES[state] ?? TITLES.unsettled;

/** Whether this filter is of operations that are over. */
export const isSettled = (state) => SETTLED.includes(state);

/** Operations that have not been settled; `cancel(operation)` asks whether to cancel one. */
export function underWay(where, place, cancel, empty) {
  return new Table(where, {
    label: "Operations under way",
    key: ({ id }) => id,
    empty,
    columns: [
      { title: "State", name: "state", make: badge(standing) },
      { title: "Operation", name: "operation", make: finding(place, ({ id }) => id, "Operation") },
      { title: "Route", name: "route", make: text(({ route }) => visible(route)) },
      { title: "Request", name: "request", make: request(explained) },
      {
        title: "Since its 202",
        name: "number",
        make: text((operation, elapsed) => age(operation.age + elapsed)),
        live: true,
      },
      { title: "Received", name: "number received", make: received },
      { title: "Left", name: "number", make: text(left), live: true },
      { title: "Cancel", name: "action", make: cancelling(cancel) },
    ],
  });
}

/** Operations that are over. */
export function settled(where, place, empty) {
  return new Table(where, {
    label: "Settled operations",
    key: ({ id }) => id,
    empty,
    columns: [
      { title: "Outcome", name: "state", make: badge(outcome) },
      { title: "Operation", name: "operation", make: finding(place, ({ id }) => id, "Operation") },
      { title: "Route", name: "route", make: text(({ route }) => visible(route)) },
      { title: "Request", name: "request", make: request(explained) },
      { title: "Settled", name: "number", make: moment((operation) => operation.settled) },
      { title: "From 202 to end", name: "number", make: text((operation) => duration(operation.duration)) },
      { title: "Size", name: "number", make: text((operation) => size(operation.size)) },
    ],
  });
}

/** "25 of 10,000": how much is shown of all in this state, where that is known. */
export function range(shown, state, counts) {
  const all = { unsettled: counts.queued + counts.running, ...counts }[state];
  if (shown === 0) return "";
  return all === undefined || all < shown ? `${count(shown)} shown` : `${count(shown)} of ${count(all)}`;
}

/** The state; of one that waits, its place in line too. */
function standing({ state, before, progress }) {
  const place = before === 0 ? ", next" : `, ${count(before)} before it`;
  const isPlaced = state === "queued" && typeof before === "number";
  const tip = isPlaced ? `${STATES.queued} Its client is told: ${progress}.` : STATES[state];
  return { kind: state, words: wordOf(state) + (isPlaced ? place : ""), tip };
}

function outcome({ state, status }) {
  const kind = state === "completed" && status >= 400 ? "failed" : state;
  return { kind, words: status === null ? wordOf(state) : `${wordOf(state)} ${status}`, tip: STATES[state] };
}

/** That it is completed is said by its state; of any other there is more to say: why it was answered with 202, or ended. */
function explained({ method, target, state, why, error, isRepeated }) {
  if (isRepeated && state !== "completed") return { method, target, why: AS_ABOVE };
  return { method, target, why: state === "completed" ? "" : why, cause: error?.code };
}

/** How much of it has come; what its client is told of that is the tip. */
function received(cell) {
  const words = element("span");
  const bar = element("progress", { "aria-hidden": "true" });
  cell.append(words, bar);
  return ({ bytes, size: whole, progress }) => {
    setText(words, bytes ? size(bytes) + (whole ? ` of ${size(whole)}` : "") : "");
    setAttribute(words, "data-tip", progress);
    bar.hidden = !whole || bytes === null;
    if (bar.hidden) return;
    setAttribute(bar, "max", whole);
    setAttribute(bar, "value", Math.min(bytes, whole));
  };
}

function left(operation, elapsed) {
  if (operation.left === null || operation.left === undefined) return "";
  if (operation.state === "queued") return age(Math.max(operation.left, 1)); // nothing of it passes until the line moves
  const seconds = operation.left - elapsed;
  return seconds >= 1 ? age(seconds) : "any moment";
}

const cancelling = (cancel) => (cell) => {
  const button = element("button", { type: "button", class: "cancel" }, "Cancel");
  let shown;
  cell.append(button);
  button.addEventListener("click", () => cancel(shown));
  return (operation) => {
    shown = operation;
    setAttribute(button, "aria-label", `Cancel ${operation.id}`);
  };
};
