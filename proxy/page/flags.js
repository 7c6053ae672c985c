/** The two letters that say who ended a request, and how far it was: those of the log's access lines, in words. */

const CLIENT_LEFT = "client-left"; // the error of a request whose client did; any other that is the client's is a refusal
const LEFT = "The client left";
const WHO = {
  C: "What the client asked for, or sent, was refused",
  O: "The origin failed",
  P: "The proxy, or its store, could not go on",
  L: "A limit or a timeout of the configuration was reached",
};
const WHEN = {
  R: "while the request was on its way",
  Q: "while it waited for its turn at the origin",
  H: "after it was sent to the origin and before the response began",
  D: "while the response was on its way",
  T: "while it was a tunnel",
  S: "while it asked for an operation",
};
const HANDED_OVER = {
  "-H": "Nobody ended it: it was handed over with 202 while the origin had it.",
  "-Q": "Nobody ended it: it was handed over with 202 while it waited for its turn at the origin.",
};

const PLAIN_END =
  "Its answer was sent whole, and nobody broke that off. If it tells of an error, that is the origin’s own or its operation’s.";

const SHORT_WHO = { C: "client", O: "origin", P: "proxy", L: "limit" };
const SHORT_WHEN = { R: "on its way", Q: "in line", H: "at origin", D: "in answer", T: "tunnel", S: "status URL" };

/** The same in two or three words, to stand beside it. */
export function shortly(flag) {
  const [who, when] = [SHORT_WHO[flag[0]], SHORT_WHEN[flag[1]]];
  if (flag === "--") return "whole";
  return [who, when].filter(Boolean).join(", ");
}

/** What the flag of a request with this error means; one of a newer service than this page is left as it is. */
export function meaningOf(flag, error) {
  if (flag in HANDED_OVER) return HANDED_OVER[flag];
  const [who, when] = [error === CLIENT_LEFT ? LEFT : WHO[flag[0]], WHEN[flag[1]]];
  if (flag === "--") return PLAIN_END;
  return who && when ? `${who}, ${when}.` : `Ended with ${flag}.`;
}
