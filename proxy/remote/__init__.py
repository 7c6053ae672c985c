"""A service that runs, as an operator has it from a shell: asked at its `admin` address, over HTTP.

In reading order: `place` (where that is, and the token), `answers` (what it answers, told from what somebody else would),
`service` (what can be asked, and what went wrong in plain words), `table` (what a terminal shows of it).
"""

from proxy.remote.place import Place, place_at, place_of
from proxy.remote.service import Declined, NoAnswer, Service, TokenMissing, TokenWrong, Unknown, asking
from proxy.remote.table import details, lines, requests, table

__all__ = [
    "Declined",
    "NoAnswer",
    "Place",
    "Service",
    "TokenMissing",
    "TokenWrong",
    "Unknown",
    "asking",
    "details",
    "lines",
    "place_at",
    "place_of",
    "requests",
    "table",
]
