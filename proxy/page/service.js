/** The service as a whole: which it is, whether it takes requests, how much it has under way and in store. */

import { byId, element, setAttribute, setText } from "./elements.js";
import { age, clock, count, percent, size } from "./words.js";

const STATES = {
  connecting: () => "connecting…",
  live: () => "live",
  paused: () => "paused",
  reconnecting: (since) => `reconnecting since ${clock(since, new Date())}`,
  locked: (since) => `locked out since ${clock(since, new Date())}`,
};

export class Service {
  constructor() {
    this.ready = element("b", { class: "badge" });
    this.workers = element("span");
    this.up = element("span");
    byId("service").append(this.ready, this.workers, this.up);
    byId("service").hidden = true;
    this.meter = element("meter", { min: 0, low: 0.8, high: 0.95, optimum: 0, max: 1, "aria-labelledby": "store-label" });
    this.use = element("span");
    byId("store").append(this.use, this.meter);
  }

  /** What a view says of it. */
  show({ version, workers, since, draining }, store) {
    byId("service").hidden = false;
    setText(byId("version"), version);
    setAttribute(this.ready, "data-kind", draining ? "queued" : "completed");
    setText(this.ready, draining ? "draining" : "ready");
    setText(this.workers, `${workers} ${workers === 1 ? "worker" : "workers"}`);
    this.since = new Date(since);
    this.tick();
    this.#showStore(store);
  }

  /** What the operations under way and kept are. */
  showCounts(counts) {
    for (const state of ["queued", "running", "completed", "failed"]) setText(byId(`count-${state}`), count(counts[state]));
  }

  /** The time of day goes on by itself. */
  tick() {
    if (this.since) setText(this.up, `up ${age((Date.now() - this.since) / 1000)}`);
  }

  /** How the page itself is connected to it. */
  showConnection(state, since, reason) {
    const pill = byId("connection");
    setAttribute(pill, "data-state", state);
    setText(pill, STATES[state](since) + (reason ? `. ${reason}` : ""));
    document.body.classList.toggle("stale", state === "reconnecting" || state === "locked");
  }

  #showStore({ kind, bytes, max_bytes: most }) {
    this.meter.hidden = !most;
    if (!most) return setText(this.use, `${size(bytes)} (${kind})`);
    const share = bytes / most;
    setAttribute(this.meter, "value", share);
    setText(this.use, `${size(bytes)} of ${size(most)}, ${percent(share)} (${kind})`);
  }
}
