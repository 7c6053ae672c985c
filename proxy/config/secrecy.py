"""Which header fields carry what nobody else should see."""

import re
from typing import Final

_TELLING: Final = re.compile(
    rb"authorization|cookie|credential|passw|secret|signature|token|(^|[-_])(api)?key([-_]|$)", re.IGNORECASE
)


def is_secret(name: bytes) -> bool:
    """Whether a field of this name is likely to have a credential for its value."""
    return _TELLING.search(name) is not None
