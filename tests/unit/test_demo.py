"""The demo's backend, configuration and tour."""

import json
import re
import shlex
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from queue import SimpleQueue
from statistics import fmean, pstdev
from time import monotonic

import pytest
import yaml

from proxy.demo import COLUMNS, LINES, LegacyBackend, demo_config, ledger, tour

SECONDS = 0.4  # of a report here; an order takes half of it
LONG = 3600.0


class Said(SimpleQueue[str]):
    """What the backend said, to be waited for."""

    def until(self, text: str) -> None:
        while text not in self.get(timeout=5):
            pass


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def backend(said: Said) -> Iterator[LegacyBackend]:
    with LegacyBackend(SECONDS, said.put) as backend:
        yield backend


@pytest.fixture
def client(backend: LegacyBackend) -> Iterator[HTTPConnection]:
    with closing(HTTPConnection("127.0.0.1", backend.port, timeout=10)) as client:
        yield client


def sent_raw(port: int, request: bytes) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=10)
    client.sendall(request)
    return client


def test_the_report_takes_its_time_and_ends_with_the_connection(client: HTTPConnection) -> None:
    begun = monotonic()
    client.request("GET", "/reports/ledger.csv")
    response = client.getresponse()
    assert monotonic() - begun >= SECONDS
    assert (response.version, response.status, response.getheader("Content-Type")) == (10, 200, "text/csv")
    assert response.getheader("Content-Length") is None
    body = response.read().decode()
    assert body == COLUMNS + "".join(ledger(LINES))
    assert 2_000_000 < len(body) < 4_000_000


def test_the_ledger_is_the_same_each_time() -> None:
    assert list(ledger(50)) == list(ledger(50))


def test_the_ledger_keeps_true_statistics() -> None:
    rows = [line.rstrip().split(",") for line in ledger(500)]
    amounts = [int(row[2]) for row in rows]
    _, _, _, balance, mean, deviation = rows[-1]
    assert int(balance) == sum(amounts)
    assert float(mean) == pytest.approx(fmean(amounts), abs=0.01)
    assert float(deviation) == pytest.approx(pstdev(amounts), abs=0.01)


def test_the_fast_page_does_not_wait_for_a_report(said: Said) -> None:
    with LegacyBackend(LONG, said.put) as backend, sent_raw(backend.port, b"GET /reports/ledger.csv HTTP/1.0\r\n\r\n"):
        said.until("computing a report")
        with closing(HTTPConnection("127.0.0.1", backend.port, timeout=5)) as client:
            for path in ("/", "/reports"):  # the latter is where a route may begin, and what is asked for first
                client.request("GET", path)
                response = client.getresponse()
                assert (response.status, response.read()) == (200, b"The slow page is /reports/ledger.csv\n")


def test_each_order_is_executed_under_a_number_of_its_own(client: HTTPConnection, said: Said) -> None:
    for number in (1, 2):
        begun = monotonic()
        client.request("POST", "/orders", body=b"item=42")
        response = client.getresponse()
        assert monotonic() - begun >= SECONDS / 2
        assert (response.status, response.getheader("Location")) == (201, f"/orders/{number}")
        assert json.load(response) == {"order": number, "received": "item=42"}
        said.until(f"executing order {number}")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_there_is_nothing_else(client: HTTPConnection, method: str) -> None:
    client.request(method, "/elsewhere")
    assert client.getresponse().status == 404


def test_closing_gives_up_the_work(said: Said) -> None:
    with LegacyBackend(LONG, said.put) as backend:
        client = sent_raw(backend.port, b"POST /orders HTTP/1.0\r\nContent-Length: 0\r\n\r\n")
        said.until("executing order 1")
    with client:
        assert client.recv(1) == b""
    said.until("closed before the work was done")
    assert "legacy backend" not in {thread.name for thread in threading.enumerate()}


def test_a_client_that_left_is_one_line_and_no_traceback(
    backend: LegacyBackend, said: Said, capfd: pytest.CaptureFixture[str]
) -> None:
    sent_raw(backend.port, b"GET /reports/ledger.csv HTTP/1.0\r\n\r\n").close()
    said.until("computing a report")
    said.until("[Errno")
    assert capfd.readouterr().err == ""


def test_a_defect_of_the_backend_is_not_hushed_up(backend: LegacyBackend, capsys: pytest.CaptureFixture[str]) -> None:
    with sent_raw(backend.port, b"POST /orders HTTP/1.0\r\nContent-Length: many\r\n\r\n") as client:
        assert client.recv(1) == b""
    assert "ValueError" in capsys.readouterr().err


def test_the_configuration_is_yaml_that_names_the_ports_and_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / 'odd: "name" #1'
    config = yaml.safe_load(demo_config(backend_port=1234, port=4321, admin_port=4322, folder=folder))
    assert (config["listen"], config["admin"]) == ("127.0.0.1:4321", "127.0.0.1:4322")
    assert config["origins"]["legacy"]["url"] == "http://127.0.0.1:1234"
    assert config["store"]["url"] == f"sqlite://{folder}"
    assert config["routes"][0]["respond_async"]["wait"] == "2s"


def test_the_tour_leads_to_its_own_ports() -> None:
    assert set(re.findall(r"127\.0\.0\.1:(\d+)", tour(4321, 4322))) == {"4321", "4322"}


def test_every_command_of_the_tour_is_one_line_of_whole_shell_words() -> None:
    commands = [line for line in tour(8080, 8081).splitlines() if "curl -" in line]
    assert len(commands) == 6
    assert all("curl" in " ".join(shlex.split(command)) for command in commands)
