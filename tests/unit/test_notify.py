"""What the environment says of systemd."""

import os

import pytest

from proxy.notify import Notifier

ME = str(os.getpid())


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        pytest.param({}, None, id="no watchdog"),
        pytest.param({"WATCHDOG_USEC": "30000000"}, 30, id="for whoever it is"),
        pytest.param({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": ME}, 30, id="for this process"),
        pytest.param({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None, id="for another process"),
        pytest.param({"WATCHDOG_USEC": "0"}, None, id="switched off"),
        pytest.param({"WATCHDOG_USEC": "soon"}, None, id="rubbish"),
    ],
)
def test_watchdog(environ: dict[str, str], seconds: float | None) -> None:
    notifier = Notifier(environ)
    assert notifier.watchdog == seconds
    notifier.alive()  # to nobody
    notifier.close()
