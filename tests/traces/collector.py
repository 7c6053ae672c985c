"""A collector of traces: it takes OTLP over HTTP, and gives the spans out as they came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from proxy.tracecontext import TraceParent
from tests.scripted_origin import Request, ScriptedOrigin, answer, read_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from opentelemetry.proto.common.v1.common_pb2 import KeyValue
    from opentelemetry.proto.trace.v1 import trace_pb2


Value = str | int


@dataclass(frozen=True)
class Got:
    """A span, in words that tests can compare."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    state: str
    seconds: float
    attributes: dict[str, Value]
    links: list[str]  # traceparents of those it is linked to
    error: str | None
    service: str

    @property
    def as_parent(self) -> str:
        """As others name it."""
        return str(TraceParent(self.trace_id, self.span_id, sampled=True))


class Collector:
    """On a port of its own."""

    def __init__(self) -> None:
        self._server = ScriptedOrigin()
        self._server.script(read_all(), answer(200, body=b""))

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def requests(self) -> list[Request]:
        return self._server.requests

    def refuse(self) -> None:
        """Answer as one that wants no spans."""
        self._server.script(read_all(), answer(400, body=b"no"))

    async def requested(self, number: int = 1) -> None:
        """Wait until so much has been sent."""
        await self._server.request_complete(number)

    async def span(self, name: str, number: int = 1) -> Got:
        """The first span of this name, or that of this number, once it is there."""
        await self._server._until(lambda: len(self.named(name)) >= number, f"span {name!r}")
        return self.named(name)[number - 1]

    def named(self, name: str) -> list[Got]:
        return [span for span in self.spans() if span.name == name]

    def spans(self) -> list[Got]:
        return [span for request in self._server.requests if request.complete for span in _spans(request.body)]

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.__aexit__(kind, error, trace)


def _spans(body: bytes) -> Iterator[Got]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = _attributes(resource.resource.attributes)["service.name"]
        for scope in resource.scope_spans:
            yield from (_got(span, str(service)) for span in scope.spans)


def _got(span: trace_pb2.Span, service: str) -> Got:
    return Got(
        name=span.name,
        kind=span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        state=span.trace_state,
        seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
        attributes=_attributes(span.attributes),
        links=[str(TraceParent(link.trace_id.hex(), link.span_id.hex(), sampled=True)) for link in span.links],
        error=span.status.message if span.status.code == span.status.STATUS_CODE_ERROR else None,
        service=service,
    )


def _attributes(pairs: list[KeyValue]) -> dict[str, Value]:
    return {pair.key: pair.value.string_value or pair.value.int_value for pair in pairs}
