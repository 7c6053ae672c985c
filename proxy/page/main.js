/**
 * The operator page. It is told by the service what happens (`feed`), and shows what its address names (`place`).
 *
 * The parts: `service` and its overview, `operations` in a `table` each, `requests`, `found` for what was looked for,
 * `routes` with their `plots`, `origins`; `filters` and `cancel` for what an operator does; `elements`, `cells`,
 * `words`, `flags`, `tips` and `announce` for how it is said.
 */

import { announce } from "./announce.js";
import { Cancelling } from "./cancel.js";
import { byId, element, setAttribute, setText } from "./elements.js";
import { Feed } from "./feed.js";
import { Filters, searching } from "./filters.js";
import { Found } from "./found.js";
import { isSettled, range, settled, titleOf, underWay } from "./operations.js";
import { origins, serversOf } from "./origins.js";
import { Place } from "./place.js";
import { isOf, requests } from "./requests.js";
import { Routes } from "./routes.js";
import { Service } from "./service.js";
import { explain } from "./tips.js";
import { visible } from "./words.js";

const SECOND = 1000; // milliseconds

class Page {
  constructor() {
    this.place = new Place(() => this.#turn());
    this.service = new Service();
    this.filters = new Filters(this.place);
    this.cancelling = new Cancelling();
    const ask = (operation) => this.cancelling.ask(operation);
    this.found = new Found(this.place, ask);
    this.#lay(ask);
    this.feed = new Feed({
      onView: (view) => this.#show(view),
      onRoutes: (routes) => this.#showRoutes(routes),
      onState: (...state) => this.#showConnection(...state),
    });
  }

  begin() {
    explain();
    searching(this.place);
    byId("pause").addEventListener("click", () => this.#pause());
    byId("older").addEventListener("click", () => this.place.go({ cursor: this.next }));
    byId("newest").addEventListener("click", () => this.place.go({ cursor: "" }));
    document.addEventListener("click", (event) => this.#find(event));
    setInterval(() => this.#tick(), SECOND);
    this.#turn();
  }

  /** The tables, each with what there is to say where it has nothing to show. */
  #lay(ask) {
    const { place } = this;
    this.noOperation = element("div", { class: "empty" });
    this.underWay = underWay(byId("operations-table"), place, ask, this.noOperation);
    this.settledHere = settled(byId("operations-table"), place, element("span"));
    this.lastSettled = settled(byId("settled-table"), place, nothing("No operation has been settled yet. Results are kept for as long as their route’s keep says."));
    this.noRequest = nothing("");
    this.requests = requests(byId("requests-table"), place, this.noRequest);
    this.routes = new Routes(byId("routes-list"), nothing("The first figures come within ten seconds."));
    this.origins = origins(byId("origins-table"), nothing("No origin is known yet."));
  }

  /** The address is another. */
  #turn() {
    this.filters.show();
    this.#search();
    if (this.place.query !== this.feed.query) this.feed.follow(this.place.query);
    if (this.view) this.#showRequests(this.view);
  }

  /** Leads to what is looked for, if that is something else than before. */
  #search() {
    const looked = this.place.get("q");
    if (looked !== this.looked) this.found.show(this.looked !== undefined);
    this.looked = looked;
  }

  #show(view) {
    this.view = view;
    this.came = performance.now();
    this.service.show(view.service, view.store);
    this.service.showCounts(view.operations.counts);
    this.#showOperations(view.operations);
    this.lastSettled.show(view.settled);
    this.#showRequests(view);
    this.origins.show(serversOf(view.origins));
    this.found.refresh();
  }

  #showOperations({ operations, counts, next }) {
    const state = this.place.get("state") || "unsettled";
    const over = isSettled(state);
    this.underWay.show(over ? [] : operations);
    this.settledHere.show(over ? operations : []);
    byId("settled").hidden = over;
    setText(byId("operations-title"), titleOf(state));
    setText(byId("operations-range"), range(operations.length, state, counts));
    this.#showNone(operations.length === 0);
    this.#showPager(next);
  }

  #showNone(isNone) {
    this.noOperation.hidden = !isNone;
    if (isNone) this.noOperation.replaceChildren(...(this.filters.isSet ? unmatched() : teaching(this.path)));
  }

  #showPager(next) {
    this.next = next && new URL(next, location.href).searchParams.get("cursor");
    byId("newest").hidden = this.place.get("cursor") === "";
    byId("older").hidden = !this.next;
    byId("pager").hidden = byId("newest").hidden && byId("older").hidden;
  }

  #showRequests({ requests }) {
    const filter = this.place.get("status");
    const shown = requests.filter(({ status }) => isOf(filter, status));
    setText(this.noRequest, filter ? "None of the last requests here was answered so." : "No request has been handed over or refused yet.");
    this.requests.show(shown);
  }

  #showRoutes(routes) {
    this.filters.offer(routes.routes.map(({ name }) => name));
    this.path = routes.routes.find(({ asynchronous }) => asynchronous)?.path ?? "/reports";
    this.routes.show(routes);
  }

  #showConnection(state, since, reason) {
    this.service.showConnection(state, since, reason);
    if (state !== "connecting") announce(byId("connection").textContent, { quiet: true });
  }

  #tick() {
    if (this.view === undefined || this.feed.state !== "live") return;
    this.underWay.tick((performance.now() - this.came) / SECOND);
    this.service.tick();
  }

  #pause() {
    const pauses = this.feed.state !== "paused";
    setAttribute(byId("pause"), "aria-pressed", pauses);
    if (pauses) this.feed.pause();
    else this.feed.resume();
  }

  /** Follows a link to what is known of an id without leaving the page. */
  #find(event) {
    const link = event.target.closest("a[data-find]");
    if (link === null || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    this.place.go({ q: link.dataset.find });
  }
}

const nothing = (text) => element("p", { class: "empty" }, text);

const unmatched = () => [nothing("No operation is like that now.")];

const teaching = (path = "/reports") => [
  element("p", {}, "No operation is running. Send one, to an address where the proxy listens and on a route that has ", element("code", {}, "respond_async"), ":"),
  element("pre", {}, element("code", {}, `curl -i -H 'Prefer: respond-async, wait=0' http://127.0.0.1:8080${visible(path)}`)),
];

new Page().begin();
