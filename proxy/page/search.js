/**
 * What somebody looks for, as it was copied: from a log, a field, or a status URL. Of an operation's id no more is kept than
 * its beginning, which finds the operation: the whole gives its result away.
 */

import { told } from "./asked.js";
import { byId } from "./elements.js";

const SHORT = 8; // characters of an operation's id that may be seen
const WHOLE = 24; // that it has
const MORE = "…"; // after the beginning of an id that is no operation's
const NOT_FOUND = 404;
const A_FIELD = /^x-request-id\s*[:=]\s*/i;
const QUOTED = /^(["'`“‘])(.+)["'`”’]$/;
const A_STATUS_URL = /\/([\w-]{8,64})\/?([?#].*)?$/;
const AN_ID = /^[\w-]+$/;

/** Follows the field in which an id is looked for; `place` is where that leads. An address may have one, too. */
export function searching(place) {
  let asked = 0;
  const look = async (text, lead) => {
    const turn = (asked += 1);
    const q = await named(valueOf(text));
    if (turn !== asked) return;
    byId("q").value = q; // also where that leads to what is shown already
    lead({ q });
  };
  byId("search").addEventListener("submit", (event) => {
    event.preventDefault();
    look(byId("q").value, (found) => place.go(found));
  });
  const given = place.get("q");
  if (!mayGiveAway(given)) return;
  place.correct({ q: "" }); // at once, however long it takes to find out what it is
  look(given, (found) => place.correct(found));
}

/** The beginning of an id that is no operation's, though there may be others that begin so; null if it is something else. */
export const missed = (q) => (q.endsWith(MORE) ? q.slice(0, -MORE.length) : null);

/** Without what is copied together with it. */
function valueOf(text) {
  const value = unquoted(unquoted(text).replace(A_FIELD, ""));
  return missed(value) ?? value;
}

const unquoted = (text) => text.trim().replace(QUOTED, "$2").trim();

/** Whether it may be the whole id of an operation, or have it. */
function mayGiveAway(text) {
  const value = valueOf(text);
  return A_STATUS_URL.test(value) || isLong(value);
}

/** Whether it is more of an operation's id than may be seen, if it is one. */
const isLong = (id) => id.length > SHORT && id.length <= WHOLE && AN_ID.test(id);

/** What of it is looked for. The service compares the whole, since others may begin like it. */
async function named(text) {
  const url = text.match(A_STATUS_URL);
  if (url !== null && (await isKnown({ id: text }))) return text; // that of a request, which may have slashes, too
  const id = url?.[1] ?? text;
  if (!isLong(id)) return url ? id.slice(0, SHORT) : id;
  const short = id.slice(0, SHORT);
  const { status, document } = await told(`operations/${id}`);
  if (document !== null) return short;
  if (url === null && (await isKnown({ id }))) return id;
  if (status === NOT_FOUND && (await isKnown({ operation: short }))) return short + MORE;
  return url !== null || id.length === WHOLE ? short : id;
}

async function isKnown(like) {
  const { document } = await told(`requests?${new URLSearchParams(like)}`);
  return (document?.requests.length ?? 0) > 0;
}
