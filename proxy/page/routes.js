/**
 * The routes: what each leads to, how it does now, and small plots of its last hour, fewer of one that never answers with
 * 202. Those that were quiet all the time are a list of names.
 *
 * A route's plots are read together: one moment for all of them, chosen by the pointer or by the arrow keys. All are drawn,
 * also those that are not seen, which may be printed; but little by little, so that of many routes the page does not stand still.
 */

import { element, setAttribute, setText } from "./elements.js";
import { Plot, span } from "./plots.js";
import { age, clock, count, duration, figure, percent, visible } from "./words.js";

const STEPS = {
  ArrowLeft: -1,
  ArrowDown: -1,
  ArrowRight: 1,
  ArrowUp: 1,
  PageDown: -30,
  PageUp: 30,
  Home: -Infinity,
  End: Infinity,
};
const HOUR = 3600; // seconds
const AT_ONCE = 16; // milliseconds of drawing, as long as a frame
const FEW = 20; // quiet routes that are named without being asked for
const QUIET = { requests: 0, operations: 0, failures: {} };
const failuresOf = ({ failures }) => Object.values(failures).reduce((sum, number) => sum + number, 0);

const shares = (prefix) => ["p50", "p95", "p99"].map((name) => share(name, prefix + name));
const share = (name, key) => ({ name, of: (point) => point[key] });

/** `isOfLater`: only routes that answer with 202 have it. */
const PLOTS = [
  { title: "Requests", series: [{ name: "", of: (point) => point.requests }], say: (number) => `${figure(number)}/s` },
  { title: "Failures", series: [{ name: "", of: failuresOf }], say: (number, step) => `${figure(number)} in ${duration(step)}` },
  { title: "Time to a 202 or other answer", series: shares(""), say: duration, sign: "≤ " },
  {
    title: "Operations",
    series: [{ name: "", of: (point) => point.operations }],
    say: (number) => `${figure(number)}/s`,
    isOfLater: true,
  },
  { title: "Answered in time", series: [{ name: "", of: (point) => point.in_time }], say: percent, most: 1, isOfLater: true },
  { title: "Time from 202 to end", series: shares("operation_"), say: duration, sign: "≤ ", isOfLater: true },
];

export class Routes {
  constructor(where, empty) {
    this.where = where;
    this.empty = empty;
    this.cards = new Map();
    this.quiet = new Quiet();
    where.append(this.quiet.node, empty);
    window.addEventListener("beforeprint", () => this.#draw(Infinity));
  }

  /** These there are, and their last hour is about to be told anew. */
  show({ step, routes }) {
    const names = routes.map(({ name }) => name).join("\n");
    if (names !== this.names) for (const [name, card] of this.cards) this.#remove(name, card);
    Object.assign(this, { step, routes, names, moments: [], busy: new Map() });
  }

  /** Moments that follow those before, each `{at, routes}` with a point of every route that was not quiet then. */
  add(moments) {
    for (const { at, routes } of moments) {
      const t = Date.parse(at) / 1000;
      this.moments.push({ t, routes });
      for (const name of Object.keys(routes)) this.busy.set(name, t);
    }
    this.begin = this.moments.at(-1)?.t - HOUR;
    this.moments.splice(0, this.moments.findIndex(({ t }) => t > this.begin));
    this.#arrange();
  }

  /** A card for each route that did something, in the order of the routes. */
  #arrange() {
    let place = this.where.firstChild;
    for (const route of this.routes) {
      const card = this.cards.get(route.name) ?? this.#added(route.name, place);
      if (card === null) continue;
      place = card.node.nextSibling;
      if (this.#isBusy(route.name) || card.node.contains(document.activeElement)) {
        card.show(route, this.moments, this.step);
      } else this.#remove(route.name, card);
    }
    this.empty.hidden = this.moments.length > 0;
    if (this.empty.hidden) this.quiet.show(this.routes.filter(({ name }) => !this.cards.has(name)));
    this.#draw(AT_ONCE);
  }

  /** Draws what has changed, for so many milliseconds, and goes on in a moment. */
  #draw(time) {
    clearTimeout(this.drawing);
    const end = performance.now() + time;
    for (const card of this.cards.values()) {
      if (card.isDrawn) continue;
      if (performance.now() >= end) {
        this.drawing = setTimeout(() => this.#draw(AT_ONCE));
        return;
      }
      card.draw();
    }
  }

  #isBusy(name) {
    return this.busy.get(name) > this.begin;
  }

  #added(name, place) {
    return this.#isBusy(name) ? this.#add(name, place) : null;
  }

  #add(name, place) {
    const card = new Card(name);
    this.cards.set(name, card);
    this.where.insertBefore(card.node, place);
    return card;
  }

  #remove(name, card) {
    this.cards.delete(name);
    card.node.remove();
  }
}

/** The routes of which there is nothing to draw. */
class Quiet {
  constructor() {
    this.summary = element("summary");
    this.list = element("ul");
    this.node = element("details", { class: "quiet-routes", hidden: "" }, this.summary, this.list);
    this.names = null;
  }

  show(routes) {
    const names = routes.map(({ name }) => name).join("\n");
    if (names === this.names) return;
    if (this.names === null) this.node.open = routes.length <= FEW; // later it is as whoever reads it left it
    this.names = names;
    this.node.hidden = routes.length === 0;
    setText(this.summary, `${routes.length === 1 ? "1 route was" : `${count(routes.length)} routes were`} quiet`);
    this.list.replaceChildren(...routes.map(line));
  }
}

function line(route) {
  const name = element("bdi", {}, visible(route.name));
  return element("li", {}, name, " ", element("span", { class: "quiet" }, leads(route)));
}

class Card {
  constructor(name) {
    this.leads = element("p", { class: "quiet" });
    this.when = element("time", { class: "quiet" });
    this.codes = element("span", { class: "codes" });
    this.plots = PLOTS.map((plot) => new Plot(plot));
    this.slider = element(
      "div",
      { class: "plots", role: "slider", tabindex: 0, "aria-label": `The last hour of route ${visible(name)}` },
      ...this.plots.map((plot) => plot.figure),
    );
    const heading = element("h3", {}, element("bdi", {}, visible(name)));
    const head = element("div", { class: "head" }, heading, this.leads, this.codes, this.when);
    this.node = element("article", { class: "route-card", "aria-label": `Route ${visible(name)}` }, head, this.slider);
    this.name = name;
    this.points = [];
    this.chosen = null;
    this.slider.addEventListener("keydown", (event) => this.#step(event));
    this.slider.addEventListener("pointermove", (event) => this.#point(event));
    for (const leaving of ["pointerleave", "blur"]) this.slider.addEventListener(leaving, () => this.#choose(null));
  }

  show(route, moments, step) {
    this.step = step;
    this.moments = moments;
    setText(this.leads, leads(route));
    for (const plot of this.plots) plot.figure.hidden = plot.isOfLater && !route.asynchronous;
    this.isDrawn = false;
  }

  /** The plots as they are now. */
  draw() {
    this.points = this.moments.map(({ t, routes }) => ({ ...QUIET, ...routes[this.name], t }));
    for (const plot of this.plots) plot.draw(this.points, this.step);
    this.isDrawn = true;
    this.#read();
  }

  get #last() {
    return this.points.length - 1;
  }

  /** The moment that was chosen goes on meaning the same when points are added. */
  #read() {
    const at = this.chosen === null ? this.#last : nearest(this.points, this.chosen);
    const point = this.points[at];
    for (const plot of this.plots) plot.read(point, this.chosen === null);
    const when = point && clock(new Date(point.t * 1000), new Date());
    setText(this.when, point ? this.#moment(when) : "no figures yet");
    setText(this.codes, point ? codes(point) : "");
    this.#speak(at, point, when);
  }

  #moment(when) {
    return this.chosen === null ? `the last ${age(span(this.points))}` : `at ${when}`;
  }

  #speak(at, point, when) {
    setAttribute(this.slider, "aria-valuemin", 0);
    setAttribute(this.slider, "aria-valuemax", Math.max(0, this.#last));
    setAttribute(this.slider, "aria-valuenow", Math.max(0, at));
    const seen = this.plots.filter((plot) => !plot.figure.hidden);
    const said = point && seen.map((plot) => `${plot.title}: ${plot.words(point, this.chosen === null)}`).join("; ");
    setAttribute(this.slider, "aria-valuetext", point ? `${when}: ${said}. ${codes(point)}` : "No figures yet.");
  }

  #choose(t) {
    this.chosen = t;
    if (this.isDrawn) this.#read();
  }

  #step(event) {
    if (!(event.key in STEPS) || this.points.length === 0) return;
    event.preventDefault();
    const from = this.chosen === null ? this.#last : nearest(this.points, this.chosen);
    this.#choose(this.points[Math.max(0, Math.min(this.#last, from + STEPS[event.key]))].t);
  }

  #point(event) {
    const plot = event.target.closest(".plot");
    if (plot === null || this.points.length === 0) return;
    const { left, width } = plot.getBoundingClientRect();
    this.#choose(this.points.at(-1).t - span(this.points) * (1 - (event.clientX - left) / width));
  }
}

/** What it takes, and where that goes. */
function leads(route) {
  const answers = route.asynchronous ? "now or later" : "never with 202";
  return `${visible(taken(route))} → ${visible(route.origin)}, ${answers}`;
}

/** "GET, POST api.example.com/reports": which requests it takes. */
function taken({ path, path_regex: pattern, host, methods }) {
  const where = `${host ?? ""}${path ?? pattern ?? ""}`;
  return methods ? `${methods.join(", ")} ${where}` : where;
}

/** "2 origin-timeout, 1 busy" */
function codes({ failures }) {
  return Object.entries(failures)
    .map(([code, number]) => `${figure(number)} ${code}`)
    .join(", ");
}

/** The index of the point that is nearest to this time. */
function nearest(points, t) {
  let best = points.length - 1;
  for (let at = best; at >= 0; at -= 1) if (Math.abs(points[at].t - t) < Math.abs(points[best].t - t)) best = at;
  return best;
}
