/** The origins, server by server, and how they are. */

import { badge, text } from "./cells.js";
import { Table } from "./table.js";
import { count, visible } from "./words.js";

const ON_TRIAL = "It was left alone after failures, and has yet to show that it is back.";

const MOST = 3; // routes that are named

/** A table of servers. */
export function origins(where, empty) {
  return new Table(where, {
    label: "Servers of the origins",
    key: ({ origin, server }) => `${origin} ${server}`,
    empty,
    columns: [
      { title: "Health", name: "state", make: badge(health) },
      { title: "Origin", name: "route", make: text(({ origin }) => visible(origin)) },
      { title: "Server", name: "server", make: text(({ server }) => visible(String(server))) },
      { title: "Connections", name: "number", make: text(connected) },
      { title: "Idle", name: "number", make: text(({ idle }) => count(idle)) },
      { title: "Used by", name: "users", make: text(({ used_by }) => users(used_by)) },
      { title: "Waiting for one", name: "number", make: text(({ waiting }) => count(waiting)) },
      { title: "Held by max_running", name: "number", make: text(({ held }) => count(held)) },
      { title: "Reason", name: "reason", make: text(({ reason }) => visible(reason ?? "")) },
    ],
  });
}

/** All servers of all origins, as rows; `all` are the connections of the origin. */
export function serversOf(origins) {
  return origins.flatMap(({ name, servers }) => {
    const all = servers.reduce((sum, { connections }) => sum + connections, 0);
    return servers.map((server) => ({ origin: name, all, isAlone: servers.length === 1, ...server }));
  });
}

/** How many there are of how many the origin may have, all its servers together. */
function connected({ connections, all, isAlone, max_connections: most }) {
  const ofAll = `${count(all)} of ${count(most)}`;
  return isAlone ? ofAll : `${count(connections)} (all: ${ofAll})`;
}

/** The routes that use most of an origin's connections, and how many each. */
function users(routes) {
  const most = Object.entries(routes).sort(([, one], [, other]) => other - one);
  const others = most.splice(MOST).reduce((sum, [, number]) => sum + number, 0);
  const named = most.map(([route, number]) => `${visible(route)} ${count(number)}`);
  return [...named, ...(others ? [`others ${count(others)}`] : [])].join(", ");
}

function health({ up, left_alone_by: workers, reason }) {
  if (up && reason === null) return { kind: "completed", words: "up" };
  if (up) return { kind: "queued", words: "on trial", tip: ON_TRIAL };
  const tip = `After failures, it is sent nothing for a while. Workers that leave it alone: ${count(workers)}.`;
  return { kind: "failed", words: "left alone", tip };
}
