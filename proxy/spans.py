"""Spans on their way to a collector: OpenTelemetry's SDK, which a process imports only if tracing is configured.

The SDK gathers them and sends them from a thread of its own, so that nobody waits for the collector: what that does not
take is dropped. It is started in the process that serves, after the fork.
"""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace.span import TraceState

from proxy import __version__
from proxy.tracecontext import Members, TraceParent
from proxy.tracing import Kind, Span

log = structlog.get_logger()

LAST_SPANS: Final = 1.0  # seconds for the collector to take what is left when the process ends
SILENCE: Final = 60.0  # seconds between two complaints
NANOSECONDS: Final = 1_000_000_000

KINDS: Final = {Kind.SERVER: SpanKind.SERVER, Kind.CLIENT: SpanKind.CLIENT, Kind.INTERNAL: SpanKind.INTERNAL}


@asynccontextmanager
async def exporting(collector: str, name: str) -> AsyncIterator[Callable[[Span], None]]:
    """What takes spans, for the collector at this URL; on leaving, those that are left have a moment.

    The rest is as the SDK's environment variables say: fields and limits of the export, attributes of the service, which
    is called `name` if they say nothing.
    """
    complaints, logger = _Complaints(), logging.getLogger("opentelemetry")
    logger.addHandler(complaints)
    logger.propagate = False
    spans = _Spans(collector, name)
    try:
        yield spans.tell
    finally:
        await spans.close()
        logger.removeHandler(complaints)


class _Spans:
    """Makes spans of ours the SDK's."""

    def __init__(self, collector: str, name: str) -> None:
        ours = Resource({SERVICE_NAME: name, SERVICE_VERSION: __version__})
        self._ids = _GivenIds()
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,  # what is not recorded does not get here
            resource=Resource.create().merge(ours).merge(OTELResourceDetector().detect()),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{collector}/v1/traces")))
        self._tracer = self._provider.get_tracer("respond-async", __version__)

    def tell(self, span: Span) -> None:
        """Have it sent some time soon."""
        self._ids.next = span.context
        made = self._tracer.start_span(
            span.name,
            _under(span),
            KINDS[span.kind],
            {key: value for key, value in span.attributes.items() if value is not None},
            [Link(_context(link, remote=True)) for link in span.links],
            _nanoseconds(span.began),
        )
        if span.error is not None:
            made.set_status(Status(StatusCode.ERROR, span.error or None))
        made.end(_nanoseconds(span.ended))

    async def close(self) -> None:
        """Give what is left a moment; a collector that does not answer holds nobody up."""
        loop, closed = asyncio.get_running_loop(), asyncio.Event()

        def close() -> None:
            self._provider.shutdown()
            with suppress(RuntimeError):  # nobody waited for so long
                loop.call_soon_threadsafe(closed.set)

        threading.Thread(target=close, name="last-spans", daemon=True).start()
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_SPANS):
                await closed.wait()


class _GivenIds(IdGenerator):
    """The ids of the next span, which were drawn when it began."""

    next: TraceParent

    def generate_span_id(self) -> int:
        return int(self.next.span_id, 16)

    def generate_trace_id(self) -> int:
        return int(self.next.trace_id, 16)


class _Complaints(logging.Handler):
    """What the SDK has to complain about, in our log: now and then, for it does so with every batch."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._last = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        if record.created - self._last >= SILENCE:
            self._last = record.created
            log.warning("spans not exported", reason=record.getMessage())


def _under(span: Span) -> Context:
    """Where the SDK is to find the span's parent; for a request that is the client's, for an operation perhaps another worker's."""
    if span.parent is None:
        return Context()
    parent = _context(span.parent, span.state, remote=span.kind is not Kind.CLIENT)
    return set_span_in_context(NonRecordingSpan(parent), Context())


def _context(span: TraceParent, state: Members = (), *, remote: bool) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if span.sampled else TraceFlags.DEFAULT)
    return SpanContext(int(span.trace_id, 16), int(span.span_id, 16), remote, flags, TraceState(list(state)))


def _nanoseconds(seconds: float) -> int:
    return int(seconds * NANOSECONDS)
