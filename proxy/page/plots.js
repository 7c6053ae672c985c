/**
 * A small plot of figures over the last hour or less, drawn as SVG.
 *
 * A plot has series, `{name, of(point)}`; a figure that is null is a gap. What it shows is said in words as well.
 */

import { element, graphic, setAttribute, setText } from "./elements.js";
import { clock } from "./words.js";

const WIDTH = 240;
const HEIGHT = 48;
const TOP = 2; // so that the highest line is not cut
const SHORTEST = 4; // of a line

/** The seconds that plots of these points span: all, but no less than makes a line, and no more than an hour. */
export function span(points) {
  const seconds = points.length > 0 ? points.at(-1).t - points[0].t : 0;
  return Math.min(Math.max(seconds, 300), 3600);
}

export class Plot {
  /**
   * `say(number, step)` puts a figure of so many seconds into words; `sign` stands before it, `most` is the top of the scale
   * where that is fixed. `isOfLater` is for whoever shows it.
   */
  constructor({ title, series, say, sign = "", most = null, isOfLater = false }) {
    Object.assign(this, { title, series, say, sign, most, isOfLater });
    this.values = series.map((_, index) => element("span", { class: `value value-${index}` }));
    this.top = element("small", { class: "top quiet" });
    this.lines = series.map((_, index) => graphic("path", { class: `line line-${index}` }));
    this.cursor = graphic("path", { class: "cursor" });
    this.graphic = graphic(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" },
      ...this.lines,
      this.cursor,
    );
    const name = element("span", { class: "name" }, title, " ", this.top);
    this.when = element("small", { class: "when quiet" });
    const values = element("span", { class: "values" }, ...this.values);
    const heading = element("figcaption", {}, name, values, this.when);
    const wide = series.length > 1 ? "wide" : null;
    this.figure = element("figure", { class: wide }, heading, element("div", { class: "plot" }, this.graphic));
  }

  /** Draws points, each with its time `t` in seconds. */
  draw(points, step) {
    this.step = step;
    this.known = points.findLast((point) => this.#isKnown(point));
    const [end, seconds] = [points.at(-1)?.t ?? 0, span(points)];
    const figures = points.flatMap((point) => this.series.map(({ of }) => of(point))).filter(isThere);
    const most = this.most ?? Math.max(0, ...figures);
    this.x = (point) => WIDTH * (1 - (end - point.t) / seconds);
    const y = (number) => HEIGHT - (HEIGHT - TOP) * (most > 0 ? number / most : 0);
    this.series.forEach(({ of }, index) => setAttribute(this.lines[index], "d", path(points, of, this.x, y, step)));
    setText(this.top, this.most === null && most > 0 ? `up to ${this.say(most, step)}` : "");
  }

  /** The figures at a point, in the heading, and a line there unless it is the last one. */
  read(point, isLast) {
    const { figures, when } = this.#told(point, isLast);
    this.values.forEach((value, index) => setText(value, figures[index] ?? ""));
    setText(this.when, when);
    setAttribute(this.cursor, "d", point === undefined || isLast ? null : `M${this.x(point).toFixed(1)} 0V${HEIGHT}`);
  }

  /** "p50 ≤ 1.0 s, p95 ≤ 4.2 s": the figures of a point. */
  words(point, isLast) {
    const { figures, when } = this.#told(point, isLast);
    return [...figures, when].filter(Boolean).join(", ");
  }

  /** The figures of a point, as words; at the end, where it has none, those of the last that has, and when that was. */
  #told(point, isLast) {
    if (point === undefined) return { figures: [], when: "" };
    if (!isLast || this.#isKnown(point)) return { figures: this.#figures(point), when: "" };
    if (this.known === undefined) return { figures: ["none"], when: "" };
    return { figures: this.#figures(this.known), when: `at ${clock(new Date(this.known.t * 1000), new Date())}` };
  }

  #isKnown(point) {
    return this.series.some(({ of }) => isThere(of(point)));
  }

  #figures(point) {
    return this.series.map((series) => this.#figure(series, point));
  }

  #figure({ name, of }, point) {
    const number = of(point);
    const said = (isThere(number) ? this.sign : "") + this.say(number, this.step);
    return name ? `${name} ${said}` : said;
  }
}

/** A line through the figures, broken where one is missing. */
function path(points, of, x, y, step) {
  const runs = [];
  let last = -Infinity;
  for (const point of points.filter((point) => isThere(of(point)))) {
    if (point.t - last >= 2.5 * step) runs.push([]);
    runs.at(-1).push([x(point), y(of(point))]);
    last = point.t;
  }
  return runs.map(line).join("");
}

/** A line through these places, drawn out to either side where it could hardly be seen. */
function line(places) {
  const [first, last] = [places[0][0], places.at(-1)[0]];
  const more = Math.max(0, (SHORTEST - (last - first)) / 2);
  const through = places.map((place) => place.map((number) => number.toFixed(1)).join(" ")).join("L");
  return `M${(first - more).toFixed(1)} ${places[0][1].toFixed(1)}L${through}H${(last + more).toFixed(1)}`;
}

const isThere = (number) => number !== null && number !== undefined;
