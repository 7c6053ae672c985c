/**
 * What the service tells as it happens: server-sent events, connected again whenever they end.
 *
 * Browsers connect again by themselves, but not after an answer that is no stream of events, and they do not notice a
 * connection that died silently. So all of it is done here.
 */

import { plain } from "./asked.js";

const PAUSES = [500, 1000, 2000, 5000]; // milliseconds before each attempt to connect again; the last one repeats
const NO_TOKEN = 401;
const RELOAD = "It answers 401: its admin_token is another one now. Reload this page, and the browser asks for it.";
const MOST_SAID = 300; // characters of a refusal
const SILENCE = 35_000; // the service tells of its last hour every ten seconds, if only that nothing happened

export class Feed {
  /**
   * `onState(state, since, reason)`: connecting, live, reconnecting, locked or paused. `onRefused(parameter, why)` is told which of
   * the query cannot be read, and returns whether there is another query now.
   */
  constructor({ onView, onRoutes, onMoments, onState, onRefused }) {
    this.handlers = { view: onView, routes: onRoutes, moments: onMoments };
    this.onState = onState;
    this.onRefused = onRefused;
    this.state = null;
    this.query = "";
    this.after = ""; // what is known of the last hour, as the service says it
    this.failures = 0;
  }

  /** Follows the operations that this query asks for, instead of those before. */
  follow(query) {
    this.query = query;
    if (this.state !== "paused") this.#connect();
  }

  pause() {
    this.#disconnect();
    this.#become("paused");
  }

  resume() {
    if (this.state !== "paused") return;
    this.#become("connecting");
    this.#connect();
  }

  get #url() {
    return `events?${this.query}${this.after && `&after=${this.after}`}`;
  }

  #connect() {
    this.#disconnect();
    if (this.state === null) this.#become("connecting");
    this.source = new EventSource(this.#url);
    this.source.addEventListener("error", () => this.#lost());
    for (const name of Object.keys(this.handlers)) {
      this.source.addEventListener(name, (event) => this.#heard(name, event.data));
    }
    this.#listen();
  }

  #disconnect() {
    this.source?.close();
    clearTimeout(this.silence);
    clearTimeout(this.next);
  }

  #heard(name, data) {
    this.failures = 0;
    this.#become("live");
    this.#listen();
    const told = JSON.parse(data);
    if (name !== "view") this.after = told.after ?? "";
    this.handlers[name](told);
  }

  #listen() {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.#lost(), SILENCE);
  }

  #lost() {
    this.#disconnect();
    const isAtFirst = this.state === "connecting";
    if (this.state !== "reconnecting") this.#become("reconnecting");
    const pause = PAUSES[Math.min(this.failures, PAUSES.length - 1)];
    this.failures += 1;
    this.next = setTimeout(() => this.#connect(), pause);
    if (isAtFirst || this.failures > 1) this.#inquire();
  }

  /** Finds out why it is refused, which the browser does not tell of a stream of events. */
  async #inquire() {
    const url = this.#url;
    const { status, reason, parameter, why } = await refusal(url);
    if (this.state !== "reconnecting" || url !== this.#url) return;
    if (parameter && this.onRefused(parameter, why)) return;
    if (status === NO_TOKEN) this.#lock();
    else this.#become("reconnecting", reason);
  }

  /** Asks no more: or the browser would ask for the token again and again. */
  #lock() {
    this.#disconnect();
    this.#become("locked", RELOAD);
  }

  #become(state, reason = null) {
    if (state !== this.state) this.since = new Date();
    else if (reason === this.reason) return;
    this.state = state;
    this.reason = reason;
    this.onState(state, this.since, reason);
  }
}

/** What it says instead of telling what happens, if it says anything. */
async function refusal(url) {
  const asking = new AbortController();
  try {
    const response = await fetch(url, { signal: asking.signal });
    if (response.ok) return {};
    const { why, parameter } = problem(await response.text());
    return { status: response.status, reason: `It answers ${response.status}. ${why}`, parameter, why };
  } catch {
    return { reason: "Nobody answers." };
  } finally {
    asking.abort();
  }
}

/** What a problem document says; of anything else, the text. */
function problem(text) {
  try {
    const { detail, parameter } = JSON.parse(text);
    return { why: plain(detail), parameter };
  } catch {
    return { why: text.slice(0, MOST_SAID) };
  }
}
