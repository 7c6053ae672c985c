"""What holds in every test of conformance, whatever a client sends."""

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def nothing_failed(quiet_log: list[structlog.types.EventDict], caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A client's mistake is never a failure of the proxy's: no traceback, neither in our log nor in a library's."""
    yield
    assert [line for line in quiet_log if line["log_level"] == "error" or line["event"] == "handler failed"] == []
    assert caplog.records == []
