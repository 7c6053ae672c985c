/** The controls that say what is looked at; what they say is in the page's address. */

import { element } from "./elements.js";
import { visible } from "./words.js";

const DEFAULTS = { route: "", state: "unsettled", older_than: "", younger_than: "", status: "" };

export class Filters {
  constructor(place) {
    this.place = place;
    this.routes = [];
    this.selects = [...document.querySelectorAll(".filters select")];
    for (const form of document.querySelectorAll(".filters")) this.#follow(form);
    this.show();
  }

  /** The controls as the address has it. */
  show() {
    for (const select of this.selects) choose(select, this.place.get(select.name) || DEFAULTS[select.name]);
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

  #follow(form) {
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", ({ target }) => this.place.go({ [target.name]: stored(target) }));
    form.addEventListener("reset", (event) => {
      event.preventDefault();
      this.place.go({ route: "", state: "", older_than: "", younger_than: "" });
    });
  }
}

/** The default is not worth its place in the address. */
const stored = ({ name, value }) => (value === DEFAULTS[name] ? "" : value);

/** Chooses a value; one that an address has and the control has not becomes a choice. */
function choose(select, value) {
  if (![...select.options].some((option) => option.value === value)) {
    select.append(element("option", { value }, visible(value)));
  }
  select.value = value;
}
