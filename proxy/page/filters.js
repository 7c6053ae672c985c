/** The controls that say what is looked at; what they say is in the page's address. */

import { byId, element, setText } from "./elements.js";
import { visible } from "./words.js";

/** Where the notes on a filter are. */
const noteOf = (key) => (key === "status" ? "requests-note" : "operations-note");
const NO_ROUTE = "The configuration has no such route now. What is kept of one that was called so is shown all the same.";

const DEFAULTS = { route: "", state: "unsettled", older_than: "", younger_than: "", status: "" };

export class Filters {
  constructor(place) {
    this.place = place;
    this.routes = [];
    this.dropped = new Map(); // what each is told of by its note
    this.selects = [...document.querySelectorAll(".filters select")];
    for (const form of document.querySelectorAll(".filters")) this.#follow(form);
    this.show();
  }

  /** The controls as the address has it. */
  show() {
    for (const select of this.selects) choose(select, this.place.get(select.name) || DEFAULTS[select.name]);
    this.#tell();
  }

  /** Has the address without what cannot be read, and says so. Returns whether it had it. */
  drop(key, why) {
    const value = this.place.get(key);
    if (value === "") return false;
    this.dropped.set(key, `${quoted(key, value)} in the address is left out. ${why}`);
    this.place.correct({ [key]: "" });
    return true;
  }

  /** Somebody has turned to another place, of which there may be nothing to say. */
  forget() {
    this.dropped.clear();
  }

  /** The routes to choose from. */
  offer(routes) {
    if (routes.join("\n") === this.routes.join("\n")) return;
    this.routes = routes;
    const select = this.selects.find(({ name }) => name === "route");
    select.replaceChildren(select.options[0], ...routes.map((name) => element("option", { value: name }, visible(name))));
    this.show();
  }

  /** Whether the list is not that of all operations under way. */
  get isSet() {
    return ["route", "state", "older_than", "younger_than"].some((key) => this.place.get(key));
  }

  #tell() {
    const unknown = this.place.get("route").split(",").filter((name) => name && !this.routes.includes(name));
    const said = [...this.dropped];
    if (this.routes.length > 0) said.push(...unknown.map((name) => ["route", `${quoted("route", name)}: ${NO_ROUTE}`]));
    for (const id of ["operations-note", "requests-note"]) {
      const words = said.filter(([key]) => noteOf(key) === id).map(([, note]) => note);
      setText(byId(id), words.join(" "));
      byId(id).hidden = words.length === 0;
    }
  }

  #follow(form) {
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", ({ target }) => this.place.go({ [target.name]: stored(target) }));
    form.addEventListener("reset", (event) => {
      event.preventDefault();
      this.place.go({ route: "", state: "", older_than: "", younger_than: "" });
    });
  }
}

const quoted = (key, value) => `“${key}=${visible(value)}”`;

/** The default is not worth its place in the address. */
const stored = ({ name, value }) => (value === DEFAULTS[name] ? "" : value);

/** Chooses a value; one that an address has and the control has not is a choice as long as it is chosen. */
function choose(select, value) {
  if (![...select.options].some((option) => option.value === value)) {
    select.append(element("option", { value, class: "of-address" }, visible(value)));
  }
  select.value = value;
  for (const option of select.querySelectorAll(".of-address")) if (option.value !== value) option.remove();
}
