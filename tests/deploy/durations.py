"""How long things take, as the files of others write it and as the product does."""

import re
from typing import Final

from proxy.config import Config

LATE: Final = (
    5 + 2
)  # seconds after drain_timeout, at most: a worker that has not ended is killed, and what follows that
UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600}


def seconds(text: str) -> float:
    """A duration such as systemd, Compose, Kubernetes and the front servers write it: 45, 45s, 1m30s."""
    assert re.fullmatch(r"(\d+[smh]?)+", text), text
    return sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)([smh]?)", text))


def default(key: str) -> float:
    """Seconds that a key at the top of the configuration has by default."""
    return float(Config.model_fields[key].get_default(call_default_factory=True))
