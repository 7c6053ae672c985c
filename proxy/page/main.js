/**
 * The operator page. It is told by the service what happens (`feed`), and shows what its address names (`place`).
 *
 * The parts: `service` and its overview, `operations` in a `table` each, `requests`, `search` for an id and what was `found`,
 * `routes` with their `plots`, `origins`; `filters` and `cancel` for what an operator does, `example` for who has
 * nothing to look at; `elements`, `cells`, `words`, `flags`, `tips`, `announce` and `small` for how it is said.
 */

import { announce } from "./announce.js";
import { Cancelling } from "./cancel.js";
import { withRepeats } from "./cells.js";
import { byId, element, setAttribute, setText } from "./elements.js";
import { example } from "./example.js";
import { Feed } from "./feed.js";
import { Filters } from "./filters.js";
import { Found } from "./found.js";
import { isSettled, range, settled, titleOf, underWay } from "./operations.js";
import { origins, serversOf } from "./origins.js";
import { Place } from "./place.js";
import { Recent } from "./requests.js";
import { Routes } from "./routes.js";
import { searching } from "./search.js";
import { Service } from "./service.js";
import { FEW, SMALL } from "./small.js";
import { explain } from "./tips.js";
import { day, visible, zone } from "./words.js";

const SECOND = 1000; // milliseconds
const NONE_SETTLED = "No operation has been settled yet. Results are kept for as long as their route’s keep says.";
const NONE_AT_ALL = "No operation is like that now.";
const NONE_SO_FAR = "None of the newest is like that. Look among the older ones.";
const NONE_UNDER_WAY = "No operation is running. Send one, on a route that has ";
const KNOWN_PATH = ", to a path that its origin knows:";

class Page {
  constructor() {
    this.isPaused = false;
    this.place = new Place((isAsked) => this.#turn(isAsked));
    this.service = new Service();
    this.filters = new Filters(this.place);
    this.cancelling = new Cancelling();
    const ask = (operation) => this.cancelling.ask(operation);
    this.found = new Found(this.place, ask);
    this.#lay(ask);
    this.feed = new Feed({
      onView: (view) => this.#show(view),
      onRoutes: (routes) => this.#showRoutes(routes),
      onMoments: ({ moments }) => this.routes.add(moments),
      onState: (...state) => this.#showConnection(...state),
      onRefused: (parameter, why) => this.filters.drop(parameter, why),
    });
  }

  begin() {
    explain();
    this.#showDay();
    searching(this.place);
    byId("pause").addEventListener("click", () => this.#pause());
    byId("older").addEventListener("click", () => this.place.go({ cursor: this.next }));
    byId("newest").addEventListener("click", () => this.place.go({ cursor: "" }));
    document.addEventListener("click", (event) => this.#find(event));
    document.addEventListener("visibilitychange", () => this.#rest());
    setInterval(() => this.#tick(), SECOND);
    this.#turn(false);
  }

  /** The tables, each with what there is to say where it has nothing to show. */
  #lay(ask) {
    const { place } = this;
    this.unmatched = nothing("");
    this.example = element("code");
    this.teaching = teaching(this.example);
    this.unmatched.hidden = this.teaching.hidden = true;
    byId("operations-table").append(this.unmatched, this.teaching);
    this.underWay = underWay(byId("operations-table"), place, ask, element("span"));
    this.settledHere = settled(byId("operations-table"), place, element("span"));
    this.lastSettled = settled(byId("settled-table"), place, nothing(NONE_SETTLED));
    this.requests = new Recent(byId("requests-table"), place, (key, why) => this.filters.drop(key, why));
    this.routes = new Routes(byId("routes-list"), nothing("The first figures come within ten seconds."));
    this.origins = origins(byId("origins-table"), nothing("No origin is known yet."));
  }

  /** The address is another; `isAsked` if somebody has just asked for it. */
  #turn(isAsked) {
    if (isAsked) this.filters.forget();
    this.filters.show();
    this.#search(isAsked);
    if (this.place.query !== this.feed.query) this.feed.follow(this.place.query);
    if (this.view) this.requests.show(this.view.requests);
  }

  /** Leads to what is looked for, if that is something else than before. */
  #search(isAsked) {
    const looked = this.place.get("q");
    if (looked === this.looked) return;
    this.looked = looked;
    byId("q").value = looked; // once: something else may be on its way into the field when there is more to find
    this.found.show(isAsked);
  }

  #show(view) {
    this.view = view;
    this.came = performance.now();
    this.#draw(view);
  }

  #draw(view) {
    this.service.show(view.service, view.store);
    this.#teach();
    this.service.showCounts(view.operations.counts);
    this.#showOperations(view.operations);
    this.lastSettled.show(withRepeats(SMALL.matches ? view.settled.slice(0, FEW) : view.settled));
    this.requests.show(view.requests);
    this.origins.show(serversOf(view.origins));
    this.found.refresh(view.service.requests_kept);
  }

  #showOperations({ operations, counts, next }) {
    const state = this.place.get("state") || "unsettled";
    const over = isSettled(state);
    const listed = withRepeats(operations);
    this.underWay.show(over ? [] : listed);
    this.settledHere.show(over ? listed : []);
    byId("settled").hidden = over;
    setText(byId("operations-title"), titleOf(state));
    setText(byId("operations-range"), range(operations.length, state, counts));
    setText(this.unmatched, next ? NONE_SO_FAR : NONE_AT_ALL);
    this.unmatched.hidden = operations.length > 0 || !this.filters.isSet;
    this.teaching.hidden = operations.length > 0 || this.filters.isSet;
    this.#showPager(next);
  }

  #showPager(next) {
    this.next = next && new URL(next, location.href).searchParams.get("cursor");
    byId("newest").hidden = this.place.get("cursor") === "";
    byId("older").hidden = !this.next;
    byId("pager").hidden = byId("newest").hidden && byId("older").hidden;
  }

  #showRoutes(routes) {
    this.filters.offer(routes.routes.map(({ name }) => name));
    this.known = routes.routes;
    this.#teach();
    this.routes.show(routes);
  }

  #teach() {
    setText(this.example, visible(example(this.view?.service.urls, this.known)));
  }

  #showConnection(state, since, reason) {
    this.service.showConnection(state, since, reason);
    if (state !== this.said && state !== "connecting") announce(byId("connection").textContent, { quiet: true });
    this.said = state;
  }

  /** Times are those of this day, unless they have another one with them. */
  #showDay() {
    const today = day(new Date());
    if (today === this.today) return;
    this.today = today;
    setText(byId("zone"), `${today}, times in ${zone(new Date())}`);
    if (this.view) this.#draw(this.view);
  }

  #tick() {
    this.#showDay();
    if (this.view === undefined || this.feed.state !== "live") return;
    this.underWay.tick((performance.now() - this.came) / SECOND);
    this.service.tick();
    if (this.found.operation) this.found.tick();
  }

  #pause() {
    this.isPaused = !this.isPaused;
    const word = this.isPaused ? "Resume" : "Pause";
    setText(byId("pause"), word);
    setAttribute(byId("pause"), "aria-label", `${word} updates`);
    this.#rest();
  }

  /** Nobody is told of what nobody looks at: browsers have few connections for a service, and it has few for them. */
  #rest() {
    if (this.isPaused || document.hidden) this.feed.pause();
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

function teaching(code) {
  const words = element("p", {}, NONE_UNDER_WAY, element("code", {}, "respond_async"), KNOWN_PATH);
  return element("div", { class: "empty" }, words, element("pre", {}, code));
}

new Page().begin();
