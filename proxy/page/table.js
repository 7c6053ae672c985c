/**
 * A table that is kept up to date in place: a row that stays is the same element, and so are its cells.
 *
 * Focus and selections therefore survive updates. Rows keep their order among themselves, so none is ever moved, which
 * would take the focus from it. The controls of a table are one stop of the Tab key, between which the arrow keys move.
 */

import { element } from "./elements.js";

const STEPS = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };
const SIDEWAYS = { ArrowRight: 1, ArrowLeft: -1 };
const CONTROLS = "a:not([hidden]), button:not([hidden])";

/**
 * A column is `{title, name, make(cell), live, tip}`: `make` furnishes a new cell and returns how to show an item in it,
 * `(item, elapsed)`; a live one is shown again every second, `elapsed` seconds after the item came.
 */
export class Table {
  /** `label` names it to those who do not see it, `key` tells an item from others, `empty` is shown if there is none. */
  constructor(place, { label, columns, key, empty }) {
    this.columns = columns;
    this.key = key;
    this.empty = empty;
    this.rows = new Map();
    this.body = element("tbody", { role: "rowgroup" });
    const heads = columns.map(({ title, name, tip = null }) =>
      element("th", { scope: "col", role: "columnheader", class: name, "data-tip": tip }, title),
    );
    const head = element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, ...heads));
    this.table = element("table", { role: "table", "aria-label": label, "aria-describedby": "keys" }, head, this.body);
    this.body.addEventListener("keydown", (event) => this.#move(event));
    this.body.addEventListener("focusin", (event) => this.#enter(event.target.closest(CONTROLS)));
    place.append(this.table, empty);
    this.show([]);
  }

  /** These items, in this order. */
  show(items) {
    const focus = this.#focus();
    const wanted = new Set(items.map(this.key));
    for (const [key, row] of this.rows) if (!wanted.has(key)) this.#remove(key, row);
    let place = this.body.firstChild;
    for (const item of items) {
      const row = this.rows.get(this.key(item)) ?? this.#add(item);
      row.show(item);
      if (row.line === place) place = place.nextSibling;
      else this.body.insertBefore(row.line, place);
    }
    this.table.hidden = items.length === 0;
    this.empty.hidden = items.length > 0;
    this.#settleFocus(focus);
  }

  /** What counts by itself, so many seconds after the items came. */
  tick(elapsed) {
    for (const row of this.rows.values()) row.tick(elapsed);
  }

  #add(item) {
    const row = new Row(this.columns);
    this.rows.set(this.key(item), row);
    for (const control of row.line.querySelectorAll("a, button")) control.tabIndex = -1;
    return row;
  }

  #remove(key, row) {
    this.rows.delete(key);
    row.line.remove();
  }

  /** Where in the table the focus is: its row and which of the row's controls; null if it is elsewhere. */
  #focus() {
    const line = this.body.contains(document.activeElement) ? document.activeElement.closest("tr") : null;
    return line && { line, row: line.sectionRowIndex, control: controls(line).indexOf(document.activeElement) };
  }

  /** Gives the focus of a row that is gone to the one in its place, and keeps the table reachable. */
  #settleFocus(focus) {
    if (focus !== null && !focus.line.isConnected) this.#go(focus.row, focus.control);
    if (!this.current?.isConnected || this.current.hidden) this.#enter(this.body.querySelector(CONTROLS));
  }

  #move(event) {
    const line = event.target.closest("tr");
    const control = controls(line).indexOf(event.target);
    if (event.key in STEPS) this.#go(line.sectionRowIndex + STEPS[event.key], control);
    else if (event.key in SIDEWAYS) controls(line)[control + SIDEWAYS[event.key]]?.focus();
    else if (event.key === "Delete") line.querySelector("button.cancel:not([hidden])")?.click();
    else return;
    event.preventDefault();
  }

  #go(row, control) {
    const lines = this.body.rows;
    const line = lines[Math.max(0, Math.min(row, lines.length - 1))];
    if (line === undefined) this.table.closest("section").focus();
    else (controls(line)[control] ?? controls(line)[0])?.focus();
  }

  /** The Tab key comes back to this control. */
  #enter(control) {
    if (this.current) this.current.tabIndex = -1;
    this.current = control;
    if (control) control.tabIndex = 0;
  }
}

class Row {
  constructor(columns) {
    this.line = element("tr", { role: "row" });
    this.cells = columns.map(({ title, name, make, live }) => {
      const cell = element("td", { role: "cell", class: name, "data-title": title });
      this.line.append(cell);
      return { update: make(cell), live };
    });
  }

  show(item) {
    this.item = item;
    for (const cell of this.cells) cell.update(item, 0);
  }

  tick(elapsed) {
    for (const cell of this.cells) if (cell.live) cell.update(this.item, elapsed);
  }
}

const controls = (line) => [...line.querySelectorAll(CONTROLS)];
