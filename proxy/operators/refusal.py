"""What an operator is told in place of an answer."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

NOTHING: Final[Mapping[str, str]] = {}


class Refusal(Exception):
    """A problem document (RFC 9457) in the making. The detail says what to do."""

    def __init__(self, status: int, detail: str, fields: Mapping[str, str] = NOTHING) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.fields = fields

    def document(self) -> bytes:
        """By its type, the title is that of the status (RFC 9457 section 4.2.1)."""
        title = HTTPStatus(self.status).phrase
        return json.dumps(
            {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail}
        ).encode()
