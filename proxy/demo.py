"""What `respond-async demo` shows: a backend as one finds them, the configuration before it, and lines to paste.

The backend is old-fashioned on purpose: HTTP/1.0, a thread per request, a slow answer that ends by closing, and not a
word of asynchronous HTTP. Its report is really computed, and the same each time. Standard library only.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from math import sqrt
from pathlib import Path
from socket import socket
from threading import Event, Thread
from typing import Final, NoReturn, Self

LINES: Final = 60_000  # of the ledger, nearly 3 MB
STEPS: Final = 100  # in which it is computed, with a rest after each
COLUMNS: Final = "entry,account,amount,balance,mean,deviation\n"

TOUR: Final = """\
Paste these into another terminal (sh, bash or zsh; curl 7.84 or newer), and watch this one. What becomes of it all, and
why, is to be seen in a browser: http://127.0.0.1:8081/

1. As ever: a report that takes ten seconds, and a client that waits for it.

curl -sS -o /dev/null -w '%{http_code} after %{time_total} s\\n' http://127.0.0.1:8080/reports/ledger.csv

2. The same with `Prefer`: if it takes more than two seconds, 202 and a status URL (kept in $report).

report=$(curl -sSi -o /dev/stderr -w '%header{location}' -H 'Prefer: respond-async, wait=2' http://127.0.0.1:8080/reports/ledger.csv)

3. The status URL: 202 while the backend works on, then its answer, byte for byte.

curl -sSi "$report" | head -n 20

4. No need to ask again and again: it answers as soon as the report is there. These are its last lines.

curl -sS -D /dev/stderr -H 'Prefer: wait=30' "$report" | tail -n 3

5. An order, answered at once and executed once; its result says 201 and its number.

order=$(curl -sS -o /dev/null -w '%header{location}' -H 'Prefer: respond-async, wait=0' -d item=42 http://127.0.0.1:8080/orders); curl -sSi -H 'Prefer: wait=30' "$order"

6. Second thoughts: a DELETE of a status URL closes the exchange with the backend.

again=$(curl -sS -o /dev/null -w '%header{location}' -H 'Prefer: respond-async, wait=0' http://127.0.0.1:8080/reports/ledger.csv); curl -sSi -X DELETE "$again"

Ctrl-C ends it.
"""


def tour(port: int, admin: int) -> str:
    """The text that leads through the demo, with curl lines for the proxy on `port`, and the operator page on `admin`."""
    return TOUR.replace("127.0.0.1:8080", f"127.0.0.1:{port}").replace("127.0.0.1:8081", f"127.0.0.1:{admin}")


def demo_config(backend_port: int, port: int, admin_port: int, folder: Path) -> str:
    """The demo's configuration as YAML: every route may become an operation, which is kept in `folder` (absolute)."""
    return f"""\
listen: 127.0.0.1:{port}
admin: 127.0.0.1:{admin_port}
store:
  url: {json.dumps(f"sqlite://{folder}")}
origins:
  legacy:
    url: http://127.0.0.1:{backend_port}
routes:
  - name: legacy
    match:
      path: /
    origin: legacy
    timeout: 60s
    respond_async:
      wait: 2s
      max_wait: 60s
      keep: 15m
"""


def ledger(lines: int) -> Iterator[str]:
    """The lines of a made-up ledger, with the mean and standard deviation of the amounts so far (Welford's method)."""
    state, balance, mean, squares = 7240, 0, 0.0, 0.0
    for entry in range(1, lines + 1):
        state = state * 48271 % 0x7FFFFFFF  # Park and Miller's generator: the same ledger every time
        amount = state % 200_001 - 99_000  # cents
        balance += amount
        distance = amount - mean
        mean += distance / entry
        squares += distance * (amount - mean)
        yield f"{entry},{1000 + state % 97},{amount},{balance},{mean:.2f},{sqrt(squares / entry):.2f}\n"


class LegacyBackend(ThreadingHTTPServer):
    """The backend: bound to a port of 127.0.0.1 when it is made, to any that is free at 0, and answering within `with`.

    `seconds` is the time of a report; an order takes half of it. `say` hears what happens, from the requests' threads.
    """

    daemon_threads = False  # closing waits for them: `closing` makes that short

    def __init__(self, seconds: float = 10, say: Callable[[str], None] = print, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), LegacyHandler)
        self.port: Final = self.server_port
        self.seconds: Final = seconds
        self.say: Final = say
        self.order_numbers: Final = count(1)
        self.closing: Final = Event()
        self._thread: Final = Thread(target=self.serve_forever, args=(0.05,), name="legacy backend")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: socket | tuple[bytes, socket], client_address: object) -> None:
        """A client that left, or a request that was given up when the backend closed; all else is a defect."""
        if isinstance(error := sys.exception(), ConnectionError):
            self.say(f"backend: {error}")
        else:
            super().handle_error(request, client_address)

    def rest_until(self, moment: float) -> None:
        """Sleep until `moment` (monotonic); raises ConnectionAbortedError as soon as the backend closes."""
        if self.closing.wait(max(0, moment - time.monotonic())):
            raise ConnectionAbortedError("closed before the work was done")

    def report(self) -> bytes:
        """The whole ledger, computed in steps spread over `seconds`, so that it takes its time but not a core."""
        begun, lines, text = time.monotonic(), ledger(LINES), COLUMNS
        for step in range(1, STEPS + 1):
            text += "".join(next(lines) for _ in range(LINES // STEPS))
            self.rest_until(begun + self.seconds * step / STEPS)
        return text.encode()


def answer_until_told_to_stop(backend: LegacyBackend) -> None:
    """Have it answer, alone in its process, until that gets SIGINT or SIGTERM."""
    told = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, told)  # for its threads as well: they would be interrupted in our place
    with backend:
        backend.say(
            f"A slow backend, for a proxy before it: http://127.0.0.1:{backend.port}\n"
            f"GET /reports/ledger.csv takes {backend.seconds:g} s, POST /orders half of that, GET / no time. Ctrl-C ends it."
        )
        signal.sigwait(told)


@contextmanager
def in_its_own_process(backend: LegacyBackend) -> Iterator[None]:
    """Have it answer in another process, within `with`: a service forks, and should have no threads beside it."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(writing)
        _answer_until_closed(backend, reading)
    os.close(reading)
    backend.server_close()
    try:
        yield
    finally:
        os.close(writing)
        os.waitpid(pid, 0)


def _answer_until_closed(backend: LegacyBackend, pipe: int) -> NoReturn:
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # what drains still needs its backend
        with backend:
            os.read(pipe, 1)
    finally:
        os._exit(0)


class LegacyHandler(BaseHTTPRequestHandler):
    """One request: `GET /` and `GET /reports` (fast), `GET /reports/ledger.csv` and `POST /orders` (slow)."""

    server: LegacyBackend
    timeout = 10  # seconds for a piece of the request to come, or of the response to go

    def do_GET(self) -> None:
        match self.path:
            case "/" | "/reports":
                self._answer(HTTPStatus.OK, "text/plain", b"The slow page is /reports/ledger.csv\n")
            case "/reports/ledger.csv":
                self._report()
            case _:
                self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/orders":
            self._order(body)
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def version_string(self) -> str:
        return "LegacyReports/1.0"

    def log_message(self, template: str, *args: object) -> None:
        self.server.say("backend: " + template % args)

    def _report(self) -> None:
        self.log_message("computing a report, %g s", self.server.seconds)
        report = self.server.report()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/csv")
        self.end_headers()  # no Content-Length: the end of the connection is the end of the report
        self.wfile.write(report)

    def _order(self, body: bytes) -> None:
        number = next(self.server.order_numbers)
        self.log_message("executing order %d, %g s", number, self.server.seconds / 2)
        self.server.rest_until(time.monotonic() + self.server.seconds / 2)
        answer = json.dumps({"order": number, "received": body.decode("latin-1")}) + "\n"
        self._answer(HTTPStatus.CREATED, "application/json", answer.encode(), location=f"/orders/{number}")

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes, **fields: str) -> None:
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.title(), value)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
