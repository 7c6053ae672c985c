"""Operations as rows: columns for what is searched for, one compact JSON record for all the rest.

Bytes are in the record as Latin-1 text, one character per byte, so that a head comes back exactly as it was.
"""

import json
from typing import Any

from proxy.message import Fields, ResponseHead
from proxy.operation import BodyRef, Failure, Operation, RequestSummary, State
from proxy.store.faults import damaged

Row = tuple[str, str, str, bytes | None]  # id, keeper, record, body: what `decode` takes


def encode(operation: Operation) -> str:
    """The record: everything but id, keeper and the body's bytes."""
    record = {
        "route": operation.route,
        "request": [operation.request.method, operation.request.uri],
        "created": operation.created,
        "keep": operation.keep,
        "longest_wait": operation.longest_wait,
        "retry_after": operation.retry_after,
        "owner_digest": None if operation.owner_digest is None else operation.owner_digest.hex(),
        "state": operation.state.value,
        "settled_at": operation.settled_at,
        "head": operation.head and _encode_head(operation.head),
        "body": operation.body and [operation.body.size, operation.body.checksum],
        "failure": operation.failure
        and [operation.failure.code, operation.failure.detail, operation.failure.error_type],
    }
    return json.dumps(record, separators=(",", ":"))


def decode(row: Row) -> Operation:
    """The operation of a row. Raises StoreUnavailable if the record is not one that `encode` made."""
    id, keeper, record, body = row
    try:
        return _operation(id, keeper, json.loads(record), body)
    except (ValueError, KeyError, TypeError) as exc:
        raise damaged() from exc


def _operation(id: str, keeper: str, record: dict[str, Any], body: bytes | None) -> Operation:
    owner, head, ref, failure = (record[name] for name in ("owner_digest", "head", "body", "failure"))
    return Operation(
        id=id,
        route=record["route"],
        keeper=keeper,
        request=RequestSummary(*record["request"]),
        created=record["created"],
        keep=record["keep"],
        longest_wait=record["longest_wait"],
        retry_after=record["retry_after"],
        owner_digest=None if owner is None else bytes.fromhex(owner),
        state=State(record["state"]),
        settled_at=record["settled_at"],
        head=None if head is None else _decode_head(head),
        body=None if ref is None else BodyRef(ref[0], ref[1], body),
        failure=None if failure is None else Failure(*failure),
    )


def _encode_head(head: ResponseHead) -> list[Any]:
    fields = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in head.fields]
    return [head.status, head.reason.decode("latin-1"), fields]


def _decode_head(record: list[Any]) -> ResponseHead:
    status, reason, fields = record
    pairs = ((name.encode("latin-1"), value.encode("latin-1")) for name, value in fields)
    return ResponseHead(status, reason.encode("latin-1"), Fields(pairs))
