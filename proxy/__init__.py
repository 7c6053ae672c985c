"""A reverse proxy that gives any slow HTTP backend RFC 7240 `Prefer: respond-async`.

The map, in reading order. Values and decisions first, without I/O: `message` (heads and fields), `grammar` (what field
values are made of), `errors` (all that goes wrong), `words` (how sizes and times are shown), `config`, `prefer` (what the client asked for), `target` (what a
request is sent to), `forwarded` (who the client is), `tracecontext` (which trace it belongs to), `location` (references in responses), `fields` (what forwarding
changes), `upgrade` (other protocols), `routes` (which route), `plan` (now, or perhaps later), `operation` (what was promised), `urls` (where that can be asked for), `picture` and `outlook` (how
long exchanges took, and will take), `estimate` (what can be told of an operation), `ranges`, `accept`,
`pages`, `problem` and `monitor` (errors and operations on the wire, for programs and for people).

Then the machinery: `clock`, `spool` (the content of requests), `inflow`, `client`, `parser`, `wire` and `front` (a client's
content, request and connection, and all connections), `response`, `connection`, `origin` and `exchange` (the backend's side), `relay` (a response to a client),
`tunnel` (after an upgrade), `store` (what survives),
`keeper` (who carries on after the 202), `tracing` (which spans there are), `status` (the status URL), `forward` (a request's way, and the race), `reaper`
(what expires), `observe`, `figures` and `logwriter` (logs and metrics), `account`, `wrong`, `reasons`, `recent`, `access` and `books` (what is told of
requests), `handler` (every request), `operators`, `page` and `admin` (what operators see and do), `listeners`, `spans` (to a collector), `server`
(what lives long).

And the service of several processes: `reactor` and `channel` (what the supervisor runs on), `worker` (a process that
serves), `crew` (the workers, forked and replaced), `census` (what they tell together), `notify` (systemd), `supervisor`; `demo`.

And the command line: `fetch` (a client that follows a 202), `explain` (what would become of a request), `remote` (a service that runs, asked by its operators),
`commands` and `cli` (what can be said).
"""

__version__ = "0.1.0"
