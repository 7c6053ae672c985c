/**
 * A table that is kept up to date in place: a row that stays is the same element, and so are its cells.
 *
 * Focus and selections therefore survive updates. Rows keep their order among themselves, so none is ever moved, which
 * would take the focus from it. The controls of a table, and what has a tip, are one stop of the Tab key, between which the
 * arrow keys move.
 */

import { element } from "./elements.js";

const STEPS = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };
const SIDEWAYS = { ArrowRight: 1, ArrowLeft: -1 };
const CONTROLS = ":is(a, button, [data-tip]):not([hidden])";
const NEW = ":is(a, button, [data-tip]):not([tabindex])";

/**
 * A column is `{title, name, make(cell), live}`: `make` furnishes a new cell and returns how to show an item in it,
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
    const heads = columns.map(({ title, name }) => element("th", { scope: "col", role: "columnheader", class: name }, title));
    const head = element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, ...heads));
    this.table = element("table", { role: "table", "aria-label": label, "aria-describedby": "keys" }, head, this.body);
    this.body.addEventListener("keydown", (event) => this.#move(event));
    this.body.addEventListener("focusin", (event) => this.#enter(event.target.closest(CONTROLS)));
    place.append(this.table, empty);
    this.table.hidden = empty.hidden = true; // until it is known whether there is something to show
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
      for (const control of row.line.querySelectorAll(NEW)) control.tabIndex = -1;
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
    return row;
  }

  #remove(key, row) {
    this.rows.delete(key);
    row.line.remove();
  }

  /** Where in the table the focus is, by row and cell; null if it is elsewhere. */
  #focus() {
    const cell = this.body.contains(document.activeElement) ? document.activeElement.closest("td") : null;
    return cell && { line: cell.parentNode, row: cell.parentNode.sectionRowIndex, cell: cell.cellIndex };
  }

  /** Gives the focus of a row that is gone to the one in its place, and keeps the table reachable. */
  #settleFocus(focus) {
    if (focus !== null && !focus.line.isConnected) this.#go(focus.row, focus.cell);
    if (!this.current?.isConnected || this.current.hidden) this.#enter(this.body.querySelector(CONTROLS));
  }

  #move(event) {
    const { line, row, cell } = this.#focus();
    if (event.key in STEPS) this.#go(row + STEPS[event.key], cell);
    else if (event.key in SIDEWAYS) beside(line, event.target, SIDEWAYS[event.key])?.focus();
    else if (event.key === "Delete") line.querySelector("button.cancel:not([hidden])")?.click();
    else return;
    event.preventDefault();
  }

  #go(row, cell) {
    const lines = this.body.rows;
    const line = lines[Math.max(0, Math.min(row, lines.length - 1))];
    if (line === undefined) this.table.closest("section").focus();
    else (line.cells[cell].querySelector(CONTROLS) ?? line.querySelector(CONTROLS))?.focus();
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

/** The control that is so many away in the line. */
function beside(line, control, step) {
  const controls = [...line.querySelectorAll(CONTROLS)];
  return controls[controls.indexOf(control) + step];
}
