/**
 * What is known of an id: the requests that have it, or that made the operation which has it, each with its why; then what
 * has become of that operation, and who asked for it.
 */

import { told } from "./asked.js";
import { byId, element, setText } from "./elements.js";
import { wordOf } from "./operations.js";
import { atLength, briefly, requests } from "./requests.js";
import { missed } from "./search.js";
import { age, clock, count, duration, size, visible } from "./words.js";

const unknown = (kept) =>
  "Nothing is known of it. Operations are kept until they expire, and of requests each worker process keeps the last " +
  `${kept === undefined ? "ones" : count(kept)} that were handed over, went wrong, or were left by their clients. ` +
  "The log has a line for every one.";
const NO_ANSWER = "The service does not say. It is asked again as soon as it tells anything.";
const ASKED = "that asked for an operation whose id begins so";
const [NOT_FOUND, AMBIGUOUS] = [404, 409];
const MISSED =
  "There is no operation with this id: it never was, was removed, or has expired. Of those whose ids begin alike, these " +
  "requests are known; they may be somebody else’s.";
const FEW = 5; // of those who asked for an operation
const AN_OPERATION = /^[\w-]{1,64}$/;

export class Found {
  /** `cancel(operation)` asks whether to cancel one. */
  constructor(place, cancel) {
    this.place = place;
    this.cancel = cancel;
    this.turn = 0; // which question is the last one
    this.leads = false;
    this.facts = new Facts();
    this.none = element("p", { class: "empty" });
    this.cancelling = element("button", { type: "button", class: "cancel" }, "Cancel this operation");
    this.cancelling.addEventListener("click", () => cancel(this.operation));
    this.title = element("h3");
    this.pollsTitle = element("h3");
    const list = byId("found-list");
    list.append(this.none);
    this.requests = requests(list, place, { label: "Requests found", wording: atLength, empty: element("span") });
    list.append(this.title, this.facts.list, this.cancelling, this.pollsTitle);
    this.polls = requests(list, place, { label: "Requests that asked for the operation", wording: briefly, empty: element("span") });
    byId("found-close").addEventListener("click", () => place.go({ q: "" }));
  }

  /** Looks for what the address names; `isAsked` if somebody has just asked, who is then led to it. */
  async show(isAsked) {
    const id = this.place.get("q");
    const turn = (this.turn += 1);
    byId("found").hidden = id === "";
    this.isAsking = id !== "";
    this.isStale = false;
    this.leads = this.isAsking && (this.leads || isAsked);
    if (id === "") return;
    const found = await everythingOf(id);
    if (turn !== this.turn) return; // something else was asked meanwhile, and its answer may be here already
    this.isAsking = false;
    this.#show(id, found);
    if (this.isStale) this.show(false);
  }

  /** There may be more to find now. `kept` is how many requests a process keeps. */
  refresh(kept) {
    this.kept = kept;
    if (this.isAsking) this.isStale = true;
    else if (this.place.get("q") !== "") this.show(false);
  }

  /** What counts by itself goes on. */
  tick() {
    this.facts.show(this.operation ? facts(this.operation, (performance.now() - this.came) / 1000) : {});
  }

  #show(id, { operation, requests, polls, trouble }) {
    const isNothing = operation === null && requests.length + polls.length === 0;
    this.operation = operation;
    setText(byId("found-title"), `${isNothing || missed(id) ? "Nothing found" : "Found"} for “${visible(id)}”`);
    this.title.hidden = operation === null;
    setText(this.title, operation ? `What has become of operation ${operation.id}` : "");
    this.came = performance.now();
    this.tick();
    this.cancelling.hidden = operation === null || operation.settled !== null;
    this.requests.show(requests);
    this.pollsTitle.hidden = polls.length === 0;
    setText(this.pollsTitle, polls.length > FEW ? `The last ${FEW} of ${polls.length} ${ASKED}` : `Those ${ASKED}`);
    this.polls.show(polls.slice(0, FEW));
    this.none.hidden = !isNothing && missed(id) === null;
    setText(this.none, trouble ?? (isNothing ? unknown(this.kept) : MISSED));
    if (this.leads) byId("found-title").focus();
    this.leads = false;
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

/** `{operation, requests, polls, trouble}`: the trouble says why there may be something that was not found. */
async function everythingOf(id) {
  const begins = missed(id);
  const { operation, trouble } = begins === null ? await operationOf(id) : { operation: null };
  if (trouble) return nothing(null, trouble);
  const short = begins ?? operation?.id;
  const document = await requestsOf(short ? [{ operation: short }] : [{ id }, { operation: id }]);
  if (document === null) return nothing(operation, NO_ANSWER);
  const isPoll = (request) => request.plan === "status" && request.id !== id;
  return {
    operation: begins === null ? (operation ?? only(document.operations)) : null,
    requests: document.requests.filter((request) => !isPoll(request)),
    polls: document.requests.filter(isPoll),
    trouble: null,
  };
}

const nothing = (operation, trouble) => ({ operation, requests: [], polls: [], trouble });

/** Those that are like the first of these of which there are any: an operation may be gone, and its requests be known. */
async function requestsOf(likes) {
  const [like, ...others] = likes;
  const { document } = await told(`requests?${new URLSearchParams(like)}`);
  return document?.requests.length === 0 && others.length > 0 ? requestsOf(others) : document;
}

async function operationOf(id) {
  if (!AN_OPERATION.test(id)) return { operation: null };
  const { status, document } = await told(`operations/${id}`);
  if (status === AMBIGUOUS) return { trouble: "Several operations begin so: give more of the id." };
  return document === null && status !== NOT_FOUND ? { trouble: NO_ANSWER } : { operation: document };
}

/** The operation of a request. Of an id that a client has used again and again, there are several: the table leads to each. */
const only = (operations) => (operations.length === 1 ? operations[0] : null);

/** `elapsed` seconds after they came. */
function facts(operation, elapsed) {
  const { state, status, error, settled } = operation;
  return {
    Why: operation.why,
    Operation: operation.id,
    State: status === null ? wordOf(state) : `${wordOf(state)}, ${status}`,
    Error: error?.code,
    Request: `${operation.method} ${operation.target}`,
    "Request id": operation.request_id,
    Route: operation.route,
    Origin: operation.origin,
    Created: clock(new Date(operation.created), new Date()),
    "Waited for its turn after the 202": operation.waited === null ? null : duration(operation.waited),
    "Since its 202": settled === null ? age(operation.age + elapsed) : null,
    "From 202 to end": settled === null ? null : duration(operation.duration),
    Settled: settled && clock(new Date(settled), new Date()),
    "In line": operation.state === "queued" ? operation.progress : null,
    Progress: operation.state === "queued" ? null : operation.progress,
    Received: operation.bytes === null ? null : size(operation.bytes),
    "Times sent": operation.attempts,
  };
}
