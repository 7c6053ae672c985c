"""Whether a client would rather have a page than JSON: content negotiation (RFC 9110 section 12.5.1) between these two.

Browsers name text/html and accept anything else with less weight; programs name JSON, or accept all alike. Where both
weigh the same it is JSON. Reading never fails: a member that cannot be read is dropped, alone, and a weight that cannot
be read is as if it were not there.
"""

import re
from collections.abc import Iterator
from typing import Final

from proxy.grammar import members
from proxy.message import Fields

PAGE: Final = b"text/html"
DOCUMENTS: Final = (b"application/json", b"application/problem+json")

_QUOTED: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
# More than section 12.4.2 allows: Java sends `q=.2`, and others as many digits as they have.
_WEIGHT: Final = re.compile(rb"q=([0-9]++\.?[0-9]*+|\.[0-9]++)", re.IGNORECASE)
_RANGE: Final = re.compile(rb"([^/;\s]+/[^/;\s]+)\s*(?:;(.*))?", re.DOTALL)

Weights = dict[bytes, float]  # by media range


def prefers_page(fields: Fields) -> bool:
    """Whether Accept gives text/html more weight than JSON."""
    if not fields.has(b"accept"):
        return False
    weights: Weights = {}
    for media_range, weight in _weighed(fields.all(b"accept")):
        weights[media_range] = max(weight, weights.get(media_range, 0.0))
    return _weight(weights, PAGE) > max(_weight(weights, kind) for kind in DOCUMENTS)


def _weighed(lines: list[bytes]) -> Iterator[tuple[bytes, float]]:
    """Each media range with its weight. Its other parameters are not looked at: they choose between kinds of JSON."""
    for member in (member for line in lines for member in members(line)):
        if media_range := _RANGE.fullmatch(member):
            yield media_range[1].lower(), _weight_of(media_range[2] or b"")


def _weight_of(parameters: bytes) -> float:
    """What `q` says, at most 1; 1 where there is none that can be understood: only a zero refuses what is named."""
    for parameter in _QUOTED.sub(b"", parameters).split(b";"):
        if parameter.strip()[:2].lower() == b"q=":
            weight = _WEIGHT.fullmatch(parameter.strip())
            return min(float(weight[1]), 1.0) if weight else 1.0
    return 1.0


def _weight(weights: Weights, kind: bytes) -> float:
    """That of a media type: of the most specific range that it is in; 0 where it is in none."""
    for media_range in (kind, kind.partition(b"/")[0] + b"/*", b"*/*"):
        if media_range in weights:
            return weights[media_range]
    return 0.0
