/** Requests that were handed over or went wrong, each with the reason in a sentence. */

import { badge, finding, moment, request, text } from "./cells.js";
import { meaningOf } from "./flags.js";
import { element, setAttribute, setText } from "./elements.js";
import { Table } from "./table.js";
import { duration, visible } from "./words.js";

/** A table of them. */
export function requests(where, place, empty) {
  return new Table(where, {
    label: "Requests",
    key: ({ id, time }) => `${id} ${time}`,
    empty,
    columns: [
      { title: "Status", name: "state", make: badge(({ status }) => ({ kind: kindOf(status), words: String(status) })) },
      { title: "Ended", name: "flag", make: flag },
      { title: "Time", name: "number", make: moment(({ time }) => time) },
      { title: "Route", name: "route", make: text(({ route }) => visible(route)) },
      { title: "Request", name: "request", make: request(({ method, path, why }) => ({ method, target: path, why })) },
      { title: "Took", name: "number", make: text(({ seconds }) => duration(seconds)) },
      { title: "Operation", name: "operation", make: finding(place, ({ operation }) => operation, "Operation") },
      { title: "Request id", name: "request-id", make: finding(place, ({ id }) => id, "Request") },
    ],
  });
}

/** Whether a status is among those that the filter names: "", "202" or "5xx". */
export function isOf(filter, status) {
  return filter === "" || filter === String(status) || filter === `${String(status)[0]}xx`;
}

function kindOf(status) {
  if (status === 202) return "running";
  return status < 400 ? "completed" : "failed";
}

function flag(cell) {
  const button = element("button", { type: "button", class: "flag" });
  cell.append(button);
  return ({ end }) => {
    button.hidden = !end;
    setText(button, end ?? "");
    setAttribute(button, "data-tip", end ? meaningOf(end) : null);
  };
}
