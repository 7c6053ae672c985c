"""Operations as rows: columns for what is searched for, one compact JSON record for all the rest.

Bytes are in the record as Latin-1 text, one character per byte, so that a head comes back exactly as it was.
"""

import json
from typing import Any, Final

from proxy.message import Fields, RequestHead, ResponseHead
from proxy.operation import BodyRef, Failure, KeptRequest, Operation, Progress, RequestSummary, State
from proxy.store.faults import damaged

_written: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode

# What `decode` takes: id, keeper, stage, growth, expected, arriving, record, body.
Row = tuple[str, str, str, int, int | None, float | None, str, bytes | None]
RequestRow = tuple[str, bytes | None]  # record, content


def encode(operation: Operation) -> str:
    """The record: everything but id, keeper, the body's bytes and how far it has come.

    That an operation is queued is in its row's stage alone: a process of the first version takes it for running.
    """
    record = {
        "route": operation.route,
        "origin": operation.origin,
        "client": operation.client,
        "trace": operation.trace,
        "attempts": operation.attempts,
        "overdue": operation.overdue,
        "request": [operation.request.method, operation.request.uri],
        "request_id": operation.request.id,
        "shown": operation.request.shown,
        "created": operation.created,
        "began": operation.began,
        "keep": operation.keep,
        "longest_wait": operation.longest_wait,
        "retry_after": operation.retry_after,
        "owner_digest": None if operation.owner_digest is None else operation.owner_digest.hex(),
        "state": State.RUNNING.value if operation.state is State.QUEUED else operation.state.value,
        "settled_at": operation.settled_at,
        "head": operation.head and _encode_head(operation.head),
        "body": operation.body and [operation.body.size, operation.body.checksum],
        "failure": operation.failure
        and [operation.failure.code, operation.failure.detail, operation.failure.error_type],
        "why": operation.why,
    }
    return _written(record)


def decode(row: Row) -> Operation:
    """The operation of a row. Raises StoreUnavailable if the record is not one that `encode` made."""
    try:
        return _operation(row, json.loads(row[-2]))
    except (ValueError, KeyError, TypeError) as exc:
        raise damaged() from exc


def encode_request(request: KeptRequest) -> str:
    """The record: everything but the content's bytes."""
    head = request.head
    record = {
        "head": [head.method, head.target.decode("latin-1"), _encode_fields(head.fields), head.version],
        "authority": request.authority.decode("latin-1"),
        "scheme": request.scheme,
        "host": request.host.decode("latin-1"),
        "address": request.address,
        "content": request.content and [request.content.size, request.content.checksum],
    }
    return _written(record)


def decode_request(row: RequestRow) -> KeptRequest:
    """The request of a row. Raises StoreUnavailable if the record is not one that `encode_request` made."""
    record, content = row
    try:
        return _request(json.loads(record), content)
    except (ValueError, KeyError, TypeError) as exc:
        raise damaged() from exc


def _operation(row: Row, record: dict[str, Any]) -> Operation:
    id, keeper, stage, growth, expected, arriving, _, body = row
    owner, head, ref, failure = (record[name] for name in ("owner_digest", "head", "body", "failure"))
    method, uri = record["request"]
    return Operation(
        id=id,
        route=record["route"],
        origin=record.get("origin", ""),  # the first version had neither this nor the next four
        client=record.get("client", ""),
        trace=record.get("trace", ""),
        attempts=record.get("attempts", 1),
        overdue=record.get("overdue"),
        began=record.get("began"),
        progress=Progress(growth, expected, arriving or 0.0) if growth and stage == State.RUNNING.value else None,
        keeper=keeper,
        request=RequestSummary(method, uri, record.get("request_id", ""), record.get("shown", "")),
        created=record["created"],
        keep=record["keep"],
        longest_wait=record["longest_wait"],
        retry_after=record["retry_after"],
        owner_digest=None if owner is None else bytes.fromhex(owner),
        state=State.QUEUED if stage == State.QUEUED.value else State(record["state"]),
        settled_at=record["settled_at"],
        head=None if head is None else _decode_head(head),
        body=None if ref is None else BodyRef(ref[0], ref[1], body),
        failure=None if failure is None else Failure(*failure),
        why=record.get("why", ""),  # the fourth version of the schema had records without it
    )


def _request(record: dict[str, Any], content: bytes | None) -> KeptRequest:
    (method, target, fields, version), ref = record["head"], record["content"]
    return KeptRequest(
        head=RequestHead(method, target.encode("latin-1"), _decode_fields(fields), tuple(version)),
        authority=record["authority"].encode("latin-1"),
        scheme=record["scheme"],
        host=record["host"].encode("latin-1"),
        address=record["address"],
        content=None if ref is None else BodyRef(ref[0], ref[1], content),
    )


def _encode_head(head: ResponseHead) -> list[Any]:
    return [head.status, head.reason.decode("latin-1"), _encode_fields(head.fields)]


def _decode_head(record: list[Any]) -> ResponseHead:
    status, reason, fields = record
    return ResponseHead(status, reason.encode("latin-1"), _decode_fields(fields))


def _encode_fields(fields: Fields) -> list[list[str]]:
    return [[name.decode("latin-1"), value.decode("latin-1")] for name, value in fields]


def _decode_fields(record: list[list[str]]) -> Fields:
    return Fields((name.encode("latin-1"), value.encode("latin-1")) for name, value in record)
