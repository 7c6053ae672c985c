/** What cells of several tables show: states, what was asked, links to all that is known. */

import { element, setAttribute, setText } from "./elements.js";
import { clock, visible } from "./words.js";

export const AS_ABOVE = "For the same reason as the one above.";

/** Items, each with whether its reason, and the error behind that, are those of the one above: they need not be read again. */
export function withRepeats(items) {
  const reason = ({ why, error, cause }) => JSON.stringify([why, error, cause]);
  return items.map((item, at) => ({ ...item, isRepeated: Boolean(item.why) && at > 0 && reason(item) === reason(items[at - 1]) }));
}

/** A cell with one text. */
export const text = (of) => (cell) => {
  const node = element("span");
  cell.append(node);
  return (item, elapsed) => setText(node, of(item, elapsed));
};

/** A state, in words and in a colour: `of` gives `{kind, words, tip}`. */
export const badge = (of) => (cell) => {
  const node = element("span", { class: "badge" });
  cell.append(node);
  return (item) => {
    const { kind, words, tip } = of(item);
    setAttribute(node, "data-kind", kind);
    setAttribute(node, "data-tip", tip ?? null);
    setText(node, words);
  };
};

/** Method and target, and below them why it is as it is, the cause behind that, and more; all strangers' words. */
export const request = (of) => (cell) => {
  const method = element("b");
  const target = element("bdi", { class: "target" });
  const why = element("span", { class: "why" });
  const cause = element("span", { class: "cause" });
  const more = element("p", { class: "more quiet" });
  cell.append(element("p", { class: "asked" }, method, " ", target), element("p", { class: "explained" }, why, " ", cause), more);
  return (item) => {
    const shown = of(item);
    setText(method, shown.method);
    setText(target, visible(shown.target));
    setAttribute(target, "data-tip", shown.target.length > 60 ? visible(shown.target) : null);
    setText(why, visible(shown.why ?? ""));
    setText(cause, visible(shown.cause ?? ""));
    setText(more, shown.more ?? "");
  };
};

/** A link to all that is known of this id, which `place` leads to. */
export const finding = (place, of, label) => (cell) => {
  const link = element("a", { class: "id" });
  cell.append(link);
  return (item) => {
    const id = of(item);
    link.hidden = !id;
    setText(link, visible(id ?? ""));
    setAttribute(link, "href", place.with({ q: id ?? "" }));
    setAttribute(link, "data-find", id);
    setAttribute(link, "aria-label", id ? `${label} ${visible(id)}` : null);
  };
};

/** The time of day of an RFC 3339 date, where the browser is; in UTC as a tip. */
export const moment = (of) => (cell) => {
  const node = element("time");
  cell.append(node);
  return (item) => {
    const at = of(item);
    setAttribute(node, "datetime", at);
    setAttribute(node, "data-tip", at);
    setText(node, at === null || at === undefined ? "" : clock(new Date(at), new Date()));
  };
};
