/**
 * What of the service is looked at, kept in the page's address: whoever gets that sees the same.
 */

const KEYS = ["route", "state", "older_than", "younger_than", "cursor", "status", "q"];
const OF_OPERATIONS = ["route", "state", "older_than", "younger_than", "cursor"];
const ROWS = 25;

export class Place {
  /** `onChange(isAsked)` is called whenever it has become another: by somebody, also by the browser's Back, or corrected. */
  constructor(onChange) {
    this.onChange = onChange;
    window.addEventListener("popstate", () => this.onChange(true));
  }

  get(key) {
    return new URLSearchParams(location.search).get(key) ?? "";
  }

  /** The address of the same place but for these changes; another filter begins at the newest operation. */
  with(changes) {
    const values = new URLSearchParams(location.search);
    for (const [key, value] of Object.entries({ ...turned(changes), ...changes })) values.set(key, value);
    return address(named(KEYS, values));
  }

  go(changes) {
    const next = this.with(changes);
    if (next !== address(location.search.slice(1))) history.pushState(null, "", next);
    this.onChange(true);
  }

  /** The same, but that nobody has asked for it, and nothing is kept of the place before. */
  correct(changes) {
    history.replaceState(null, "", this.with(changes));
    this.onChange(false);
  }

  /** What the service is asked for: the operations here, a page of them. */
  get query() {
    const values = new URLSearchParams(location.search);
    if (!values.get("state")) values.set("state", "unsettled");
    return `${named(OF_OPERATIONS, values)}&limit=${ROWS}`;
  }
}

const address = (query) => (query ? `?${query}` : location.pathname);

/** Another filter is another list, of which a cursor says nothing. */
function turned(changes) {
  return OF_OPERATIONS.some((key) => key in changes) ? { cursor: "" } : {};
}

/** Those of these keys that have a value, in this order. */
function named(keys, values) {
  return new URLSearchParams(keys.filter((key) => values.get(key)).map((key) => [key, values.get(key)])).toString();
}
