"""A reverse proxy that gives any slow HTTP backend RFC 7240 `Prefer: respond-async`.

The map, in reading order. Values and decisions first, without I/O: `message` (heads and fields), `prefer` (what the
client asked for), `fields` (what forwarding changes), `routes` (which route), `plan` (now, or perhaps later),
`operation` (what was promised), `profiles` (how a promise looks on the wire), `errors` (all that goes wrong), `config`.
Then the machinery: `wire` (the client's connection), `connection` and `origin` (the backend's), `spool` (bodies),
`relay` (a response to a client), `forward` (a request's way, and the race), `keeper` (who carries on after the 202),
`status` (the status URL), `store` (what survives), `reaper` (what expires), `observe` (logs and metrics), `server`
(what lives long) and `cli`.
"""

__version__ = "0.1.0"
