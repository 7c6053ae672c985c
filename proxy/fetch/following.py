"""What an answer means for an operation: still under way, over, or to be had elsewhere. Pure decisions.

202 with Location is RFC 7240's way, and the status URL then answers 202 while the operation runs. `AsyncResult` says
that an answer is the operation's outcome, whatever its status (OData 4.01): so an origin's own 202 is one, and a 503
without it may be about the status URL alone, and is asked again. Azure's services name a document with the state in
`Operation-Location` or `Azure-AsyncOperation` instead, which is always a 200.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from yarl import URL

from proxy.fetch.order import referred

DOCUMENTS: Final = ("Operation-Location", "Azure-AsyncOperation")  # where the state is a document's
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
TRANSIENT: Final = frozenset({408, 425, 429, 502, 503, 504})  # may be over in a moment, if it is about the status URL
GOOD: Final = ("succeeded",)
BAD: Final = ("failed", "canceled", "cancelled")
LONGEST_PAUSE: Final = 3600.0  # seconds: whoever says more has a clock that is wrong


@dataclass(frozen=True, slots=True)
class Monitor:
    """Where an operation can be asked for."""

    url: URL
    is_document: bool = False  # its content says what has become of the operation
    result: URL | None = None  # where the outcome is, if the document does not say


@dataclass(frozen=True, slots=True)
class Answer:
    """As much of a response as decides what it means."""

    status: int
    fields: Mapping[str, str]
    content: bytes = b""  # of a monitor's document


@dataclass(frozen=True, slots=True)
class Wait:
    """It is under way: ask there again."""

    monitor: Monitor
    pause: float | None  # seconds that it asks to be left alone, counted from when it was asked


@dataclass(frozen=True, slots=True)
class Look:
    """The outcome is elsewhere."""

    url: URL


@dataclass(frozen=True, slots=True)
class Stumbled:
    """The monitor cannot say anything right now."""

    pause: float | None


@dataclass(frozen=True, slots=True)
class Arrived:
    """This is the outcome."""

    status: int


Step = Wait | Look | Stumbled | Arrived


def monitor_of(method: str, url: URL, answer: Answer) -> Monitor | None:
    """Where the operation can be asked for that this answer to the first request promises; None if there is none."""
    if answer.status >= 300 or "AsyncResult" in answer.fields:
        return None
    location = _referred(url, answer.fields.get("Location"))
    for name in DOCUMENTS:
        if document := _referred(url, answer.fields.get(name)):
            return Monitor(document, is_document=True, result=url if method in {"PUT", "PATCH"} else location)
    return Monitor(location) if answer.status == 202 and location else None


def next_step(monitor: Monitor, answer: Answer, now: float) -> Step:
    """What to do after the monitor's answer. `now` is seconds since the epoch, for a Retry-After that is a date."""
    outcome = answer.fields.get("AsyncResult", "").strip()
    if outcome.isascii() and outcome.isdigit() and len(outcome) == 3:
        return Arrived(int(outcome))
    pause = retry_after(answer.fields, now)
    elsewhere = _referred(monitor.url, answer.fields.get("Location"))
    if answer.status == 202:
        return Wait(monitor if elsewhere is None else Monitor(elsewhere, monitor.is_document, monitor.result), pause)
    if answer.status in REDIRECTS and elsewhere:
        return Look(elsewhere)
    if answer.status in TRANSIENT:
        return Stumbled(pause)
    return _step_by_document(monitor, answer, pause) if monitor.is_document else Arrived(answer.status)


def retry_after(fields: Mapping[str, str], now: float) -> float | None:
    """Seconds in Retry-After, which may be a date (RFC 9110 section 10.2.3); None where it says nothing of use."""
    text = fields.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_PAUSE)
    try:
        moment = parsedate_to_datetime(text)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, OverflowError):  # a year, or a zone, that no calendar has
        return None
    return min(max(seconds, 0.0), LONGEST_PAUSE)


def _step_by_document(monitor: Monitor, answer: Answer, pause: float | None) -> Step:
    document = _document(answer.content) if answer.status == 200 else {}
    status = document.get("status")
    state = status.lower() if isinstance(status, str) else ""
    if state in BAD:
        return Arrived(500)  # Azure answers 200, and means that it failed
    if not state or state in GOOD:
        result = _referred(monitor.url, document.get("resourceLocation")) or monitor.result
        return Look(result) if state and result else Arrived(answer.status)
    return Wait(monitor, pause)


def _document(content: bytes) -> dict[str, object]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _referred(base: URL, reference: object) -> URL | None:
    return referred(base, reference) if isinstance(reference, str) and reference else None
