/** Requests that were handed over or went wrong, each with the reason in a sentence. */

import { plain, told } from "./asked.js";
import { AS_ABOVE, badge, finding, moment, request, text, withRepeats } from "./cells.js";
import { meaningOf, shortly } from "./flags.js";
import { byId, element, setAttribute, setText } from "./elements.js";
import { FEW as FEWER, SMALL } from "./small.js";
import { Table } from "./table.js";
import { duration, visible } from "./words.js";

const NOTHING = "Nothing to explain yet. What the proxy answers itself, with 202 or an error, stands here with the reason.";
const MOST = 50;
const FEW = 12;
const CLIENT_LEFT = 499;
const NOT_SENT = "The client left before it was sent anything. 499 is only noted here.";

/** A table of them, named by the `label`; `wording` says how much of one is said below its target. */
export function requests(where, place, { label, wording, empty }) {
  return new Table(where, {
    label,
    key: ({ isRepeated, ...item }) => JSON.stringify(item), // clients choose their ids, so several may have the same
    empty,
    columns: [
      { title: "Status", name: "state", make: badge(statusOf) },
      { title: "Flag", name: "flag", make: flag },
      { title: "Ended", name: "number", make: moment(({ time }) => time) },
      { title: "Route", name: "route", make: text(({ route }) => visible(route)) },
      { title: "Request", name: "request", make: request(wording) },
      { title: "Took", name: "number", make: took },
      { title: "Operation", name: "operation", make: finding(place, ({ operation }) => operation, "Operation") },
      { title: "Request id", name: "request-id", make: finding(place, ({ id }) => id, "Request") },
    ],
  });
}

/** The recent ones, all or those of the status that the address names. */
export class Recent {
  /** `drop(key, why)` has the address without what cannot be read. */
  constructor(where, place, drop) {
    this.place = place;
    this.drop = drop;
    this.none = element("p", { class: "empty" });
    this.table = requests(where, place, { label: "Recent requests", wording: briefly, empty: this.none });
    this.shown = [];
    this.all = byId("all-requests");
    this.all.addEventListener("click", () => this.#turn());
  }

  /** `newest` are some of all; of one status, there may be others. */
  async show(newest) {
    const status = this.place.get("status");
    const { shown, refusal } = status === "" ? { shown: newest } : await withStatus(status);
    if (status !== this.place.get("status")) return;
    if (refusal?.parameter) this.drop(refusal.parameter, plain(refusal.detail));
    if (!shown) return;
    setText(this.none, status === "" ? NOTHING : "None of the last requests was answered so.");
    this.shown = shown;
    this.#draw();
  }

  /** From the first few to all and back. */
  #turn() {
    setAttribute(this.all, "aria-expanded", String(!this.isWhole));
    this.#draw();
  }

  get isWhole() {
    return this.all.getAttribute("aria-expanded") === "true";
  }

  #draw() {
    const few = SMALL.matches ? FEWER : FEW;
    this.table.show(withRepeats(this.isWhole ? this.shown : this.shown.slice(0, few)));
    this.all.hidden = this.shown.length <= few;
    setText(this.all, this.isWhole ? "Show fewer requests" : `Show all ${this.shown.length} requests`);
  }
}

async function withStatus(status) {
  const { document, refusal } = await told(`requests?${new URLSearchParams({ status })}`);
  return { shown: document?.requests.slice(0, MOST), refusal };
}

function statusOf({ status }) {
  if (status === CLIENT_LEFT) return { kind: "dismissed", words: "499", tip: NOT_SENT };
  if (status === 202) return { kind: "running", words: "202" };
  return { kind: status < 400 ? "completed" : "failed", words: String(status) };
}

/** Why it was answered so, and its error. */
export function briefly({ method, path, why, error, cause, isRepeated }) {
  if (isRepeated) return { method, target: path, why: AS_ABOVE };
  return { method, target: path, why, cause: error && (cause ? `${error}: ${cause}` : error) };
}

/** All of it, and what the flag and the time that it took mean. */
export function atLength(item) {
  const { end, error } = item;
  return { ...briefly(item), more: [end && `${end}: ${meaningOf(end, error)}`, parts(item)].filter(Boolean).join(" ") };
}

function flag(cell) {
  const button = element("button", { type: "button", class: "flag" });
  const words = element("small", { class: "quiet" });
  cell.append(button, " ", words);
  return ({ end, error }) => {
    button.hidden = !end;
    setText(button, end ?? "");
    setText(words, end ? shortly(end) : "");
    setAttribute(button, "aria-label", `Flag ${end}`);
    setAttribute(button, "data-tip", end ? meaningOf(end, error) : null);
  };
}

function took(cell) {
  const node = element("span");
  cell.append(node);
  return (item) => {
    setText(node, duration(item.seconds));
    setAttribute(node, "data-tip", parts(item));
  };
}

/** What a request spent its time on; null where that is not known. */
function parts({ seconds, waiting, origin }) {
  const known = [
    waiting !== undefined && `waited ${duration(waiting)} for its turn`,
    origin !== undefined && `was ${duration(origin)} at the origin`,
  ].filter(Boolean);
  return known.length > 0 ? `Of ${duration(seconds)} until the end of its answer, it ${known.join(" and ")}.` : null;
}
