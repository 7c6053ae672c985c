"""Ids that are safe as names of files: those of operations and of keepers.

Ids come from URLs. Nothing that is not a token is ever joined to a path or given to the database.
"""

import re

_TOKEN = re.compile(r"[A-Za-z0-9_-]{22,128}")  # URL-safe base64 of at least 128 bits (RFC 4648 section 5)
_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")


def is_token(text: str) -> bool:
    """Whether this can be the id of an operation."""
    return _TOKEN.fullmatch(text) is not None


def require_token(text: str) -> str:
    """The id of an operation of ours. Raises ValueError for anything else."""
    if not is_token(text):
        raise ValueError("the id of an operation is URL-safe base64 of 22 to 128 characters")
    return text


def require_name(text: str) -> str:
    """The id of a keeper. Raises ValueError for what cannot be one."""
    if _NAME.fullmatch(text) is None:
        raise ValueError("the id of a keeper is letters, digits, - and _, at most 128")
    return text
