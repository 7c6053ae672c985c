/** What is known of an id: the operation whose id begins so, and the requests that have it. */

import { byId, element, setText } from "./elements.js";
import { meaningOf } from "./flags.js";
import { requests } from "./requests.js";
import { age, clock, duration, size, visible } from "./words.js";

const AN_OPERATION = /^[\w-]{1,64}$/;

export class Found {
  /** `cancel(operation)` asks whether to cancel one. */
  constructor(place, cancel) {
    this.place = place;
    this.cancel = cancel;
    this.facts = element("dl", { class: "facts-list" });
    this.none = element("p", { class: "empty" });
    this.cancelling = element("button", { type: "button", class: "cancel" }, "Cancel this operation");
    this.cancelling.addEventListener("click", () => cancel(this.operation));
    byId("found-list").append(this.none, this.facts, this.cancelling);
    this.requests = requests(byId("found-list"), place, element("span"));
    byId("found-close").addEventListener("click", () => place.go({ q: "" }));
  }

  /** Looks for what the address names; `isAsked` if somebody has just asked, who is then led to it. */
  async show(isAsked) {
    const id = this.place.get("q");
    byId("found").hidden = id === "";
    byId("q").value = id;
    if (id === "") return;
    const found = await Promise.all([operationOf(id), requestsOf(id)]);
    if (id !== this.place.get("q")) return; // somebody was faster
    this.#show(id, ...found);
    if (isAsked) byId("found-title").focus();
  }

  #show(id, { operation, trouble }, requests) {
    this.operation = operation;
    setText(byId("found-title"), `Found for “${visible(id)}”`);
    this.facts.replaceChildren(...(operation ? facts(operation) : []));
    this.facts.hidden = operation === null;
    this.cancelling.hidden = operation === null || operation.settled !== null;
    this.requests.show(requests);
    this.none.hidden = operation !== null || requests.length > 0;
    setText(this.none, trouble ?? `Nothing is known of it. Operations are kept until they expire, and of other requests the last few hundred that were handed over or went wrong.`);
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

async function asked(url) {
  try {
    return await fetch(url);
  } catch {
    return null; // the page says that it is not connected
  }
}

function facts(operation) {
  const { state, status, error, settled } = operation;
  const known = {
    Operation: operation.id,
    Why: operation.why,
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
    Received: operation.progress ?? (operation.bytes === null ? null : size(operation.bytes)),
    "Times sent": operation.attempts,
  };
  return Object.entries(known)
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, visible(String(value)))));
}
