/** What is known of an id: the operation whose id begins so, with the request that made it; or the requests that have it. */

import { asked } from "./asked.js";
import { byId, element, setText } from "./elements.js";
import { requests } from "./requests.js";
import { age, clock, duration, size, visible } from "./words.js";

const UNKNOWN =
  "Nothing is known of it. Operations are kept until they expire, and of requests the last few hundred that were " +
  "handed over or went wrong.";
const AN_OPERATION = /^[\w-]{1,64}$/;

export class Found {
  /** `cancel(operation)` asks whether to cancel one. */
  constructor(place, cancel) {
    this.place = place;
    this.cancel = cancel;
    this.facts = new Facts();
    this.none = element("p", { class: "empty" });
    this.cancelling = element("button", { type: "button", class: "cancel" }, "Cancel this operation");
    this.cancelling.addEventListener("click", () => cancel(this.operation));
    byId("found-list").append(this.none, this.facts.list, this.cancelling);
    this.requests = requests(byId("found-list"), place, element("span"));
    byId("found-close").addEventListener("click", () => place.go({ q: "" }));
  }

  /** Looks for what the address names; `isAsked` if somebody has just asked, who is then led to it. */
  async show(isAsked) {
    const id = this.place.get("q");
    byId("found").hidden = id === "";
    byId("q").value = id;
    if (id === "") return;
    const found = await operationOf(id);
    const requests = await requestsOf(found.operation?.request_id ?? id);
    if (id !== this.place.get("q")) return; // somebody was faster
    this.#show(id, found, requests);
    if (isAsked) byId("found-title").focus();
  }

  /** What was found may have changed since; settled operations do not. */
  refresh() {
    if (this.operation && this.operation.settled === null) this.show(false);
  }

  #show(id, { operation, trouble }, requests) {
    this.operation = operation;
    setText(byId("found-title"), `Found for “${visible(id)}”`);
    this.facts.show(operation ? facts(operation) : {});
    this.cancelling.hidden = operation === null || operation.settled !== null;
    this.requests.show(requests);
    this.none.hidden = operation !== null || requests.length > 0;
    setText(this.none, trouble ?? UNKNOWN);
  }
}

/** Names and values, changed in place. */
class Facts {
  constructor() {
    this.list = element("dl", { class: "facts-list" });
    this.values = new Map();
  }

  show(facts) {
    for (const [name, value] of Object.entries(facts)) {
      const known = this.values.get(name) ?? this.#add(name);
      known.parentNode.hidden = value === null || value === undefined;
      setText(known, visible(String(value ?? "")));
    }
    this.list.hidden = Object.keys(facts).length === 0;
  }

  #add(name) {
    const value = element("dd");
    this.values.set(name, value);
    this.list.append(element("div", { class: name === "Why" ? "whole" : null }, element("dt", {}, name), value));
    return value;
  }
}

async function operationOf(id) {
  if (!AN_OPERATION.test(id)) return { operation: null };
  const response = await asked(`operations/${id}`);
  if (response?.status === 409) return { operation: null, trouble: "Several operations begin so: give more of the id." };
  return { operation: response?.ok ? await response.json() : null };
}

async function requestsOf(id) {
  const response = await asked(`requests?${new URLSearchParams({ id })}`);
  return response?.ok ? (await response.json()).requests : [];
}

function facts(operation) {
  const { state, status, error, settled } = operation;
  return {
    Why: operation.why,
    Operation: operation.id,
    State: status === null ? state : `${state}, ${status}`,
    Error: error && `${error.code}${error.detail ? `: ${error.detail}` : ""}`,
    Request: `${operation.method} ${operation.target}`,
    "Request id": operation.request_id,
    Route: operation.route,
    Origin: operation.origin,
    Created: clock(new Date(operation.created), new Date()),
    "Waited for its turn": operation.waited === null ? null : duration(operation.waited),
    Age: settled === null ? age(operation.age) : null,
    Duration: settled === null ? null : duration(operation.duration),
    Settled: settled && clock(new Date(settled), new Date()),
    Progress: operation.progress,
    Received: operation.bytes === null ? null : size(operation.bytes),
    "Times sent": operation.attempts,
  };
}
