/** A line for a shell that makes an operation, for who has none to look at: made of where the service is, and its routes. */

const PLAIN = /^[\w/.:=,-]+$/;

/** `urls` are where clients ask, `routes` what they may ask for; either may not be known yet. */
export function example(urls = [], routes = []) {
  const route = routes.find(isPlain);
  const words = ["curl -i", ...wordsFor(route), ...wordsTo(urls[0] ?? "http://HOST:PORT", route?.path ?? "/PATH")];
  return words.join(" ");
}

/** Whether a request for it can be made up from what it matches. */
const isPlain = ({ asynchronous, path, host }) => asynchronous && path !== null && !host?.startsWith("*");

function wordsFor(route) {
  const words = ["-H 'Prefer: respond-async, wait=0'"];
  if (route?.host) words.push(`-H ${quoted(`Host: ${route.host}`)}`);
  if (route?.methods && !route.methods.includes("GET")) words.push(`-X ${quoted(route.methods[0])}`);
  return words;
}

function wordsTo(url, path) {
  const socket = url.startsWith("unix:") ? url.slice("unix:".length) : null;
  return socket === null ? [quoted(url + path)] : ["--unix-socket", quoted(socket), quoted(`http://localhost${path}`)];
}

const quoted = (word) => (PLAIN.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
