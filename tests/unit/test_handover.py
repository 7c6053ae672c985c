"""How sockets come from one service to the next, between two in one process."""

import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import proxy.handover
from proxy.channel import LONGEST, PIECE, encoded
from proxy.config import Address
from proxy.handover import Handover, Wanted
from proxy.listeners import Bound, CannotListen, Doors, bind
from proxy.reactor import Reactor
from proxy.services import Services, namespaces


class Side:
    """A service, as far as this is concerned, whose loop runs in a thread while another asks it."""

    def __init__(self, folder: Path | None) -> None:
        self.changes = 0
        self.stopped = False
        self.reactor = Reactor()
        self.handover = Handover(self.reactor, folder, self._count)
        self.doors = Doors((), None)

    def start(self, *wanted: Wanted) -> list[Bound]:
        """What it has taken over; the rest it binds."""
        held: list[Bound] = []

        def opened(given: list[Bound]) -> Doors:
            held.extend(given)
            taken = {(bound.key, bound.wanted) for bound in given}
            return Doors([*given, *(bind(*one) for one in wanted if one not in taken)], None)

        self.doors = self.handover.take_over(list(wanted), opened)
        return held

    def turns(self, number: int) -> threading.Thread:
        """Its loop, for so many turns."""

        def turn() -> None:
            for _ in range(number):
                self.reactor.turn()

        thread = threading.Thread(target=turn)
        thread.start()
        return thread

    def stop(self) -> None:
        if not self.stopped:
            self.stopped = True
            self.doors.close()
            self.handover.close()
            self.reactor.close()

    def _count(self) -> None:
        self.changes += 1


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Side]:
    side = Side(tmp_path)
    yield side
    side.stop()


@pytest.fixture
def new(tmp_path: Path) -> Iterator[Side]:
    side = Side(tmp_path)
    yield side
    side.stop()


def test_what_both_have_is_handed_over_and_shared_until_one_of_them_ends(old: Side, new: Side, tmp_path: Path) -> None:
    path = Address(unix_path=str(tmp_path / "s"))
    assert old.start(("listen", Address("127.0.0.1", 0)), ("admin", path)) == []
    port = old.doors.listen[0].address
    turns = old.turns(2)  # one to let it in, one to answer
    held = new.start(("listen", Address("127.0.0.1", 0)), ("listen", port), ("admin", path))
    turns.join()
    assert [(bound.key, bound.address) for bound in held] == [("listen", port), ("admin", path)]
    new.handover.ready()
    old.reactor.turn()
    assert (old.handover.is_succeeded, old.handover.leaves_operators, old.changes) == (True, True, 1)
    old.doors.close()
    assert (tmp_path / "s").exists(), "it is the new one's"
    with socket.create_connection(("127.0.0.1", port.port), timeout=5):
        held[0].sockets[0].accept()[0].close()


def test_one_that_has_other_addresses_is_no_successor(old: Side, new: Side, quiet_log: list[dict[str, object]]) -> None:
    old.start(("listen", Address("127.0.0.1", 0)))
    turns = old.turns(2)
    assert new.start(("listen", Address("127.0.0.1", 0))) == []
    turns.join()
    new.handover.ready()
    old.reactor.turn()
    new.stop()
    old.reactor.turn()
    assert (old.changes, quiet_log) == (0, [])


def seen_from(monkeypatch: pytest.MonkeyPatch, *, other: Sequence[int]) -> None:
    """The new one is in other namespaces of these kinds: 0 networks, 1 files."""
    own = namespaces()
    theirs = [number + (kind in other) for kind, number in enumerate(own)]
    asked = iter([theirs])
    monkeypatch.setattr(proxy.handover, "namespaces", lambda: next(asked, own))  # it asks, the old one compares


@pytest.mark.parametrize("other", [pytest.param([0], id="network"), pytest.param([1], id="files")])
def test_a_path_elsewhere_is_not_handed_over(
    old: Side, new: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: list[int]
) -> None:
    path = Address(unix_path=str(tmp_path / "s"))
    old.start(("listen", path))
    seen_from(monkeypatch, other=other)
    turns = old.turns(2)
    with pytest.raises(CannotListen, match="in use"):
        new.start(("listen", path))
    turns.join()


def test_a_port_of_the_same_network_is_handed_over_to_a_unit_with_files_of_its_own(
    old: Side, new: Side, unused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = Address("127.0.0.1", unused_port)
    old.start(("listen", address))
    seen_from(monkeypatch, other=[1])
    turns = old.turns(2)
    assert [bound.address for bound in new.start(("listen", address))] == [address]
    turns.join()


def test_a_port_of_another_network_is_another_place(
    old: Side, new: Side, unused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = Address("127.0.0.1", unused_port)
    old.start(("listen", address))
    seen_from(monkeypatch, other=[0])
    turns = old.turns(2)
    with pytest.raises(CannotListen, match="in use"):
        new.start(("listen", address))
    turns.join()


def test_a_successor_that_ends_leaves_all_as_it_was(old: Side, new: Side, tmp_path: Path) -> None:
    path = Address(unix_path=str(tmp_path / "s"))
    old.start(("listen", path))
    turns = old.turns(2)
    new.start(("listen", path))
    turns.join()
    new.handover.ready()
    new.stop()
    while old.changes < 2:
        old.reactor.turn()
    assert not old.handover.is_succeeded
    assert (tmp_path / "s").exists()
    old.doors.close()
    assert not (tmp_path / "s").exists()


def test_one_that_ends_before_it_answers_hands_nothing_over(
    new: Side, tmp_path: Path, quiet_log: list[dict[str, object]]
) -> None:
    services = Services(tmp_path)
    with services.join("dying") as sock:
        sock.settimeout(5)

        def leave() -> None:
            sock.accept()[0].close()

        thread = threading.Thread(target=leave)
        thread.start()
        assert new.start() == []
        thread.join()
    services.close()
    assert "nothing taken over" in [line["event"] for line in quiet_log]


def test_one_that_never_answers_is_given_up_after_a_while_with_a_word_on_what_to_do(
    old: Side, new: Side, quiet_log: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy.handover, "SOON", 0.01)
    monkeypatch.setattr(proxy.handover, "LONGEST_ANSWER", 0.02)
    old.start(("listen", Address("127.0.0.1", 0)))
    with pytest.raises(CannotListen, match=f"in use. Process {os.getpid()}.*not answered.*kill -CONT"):
        new.start(("listen", old.doors.listen[0].address))
    assert [(line["event"], line["pid"]) for line in quiet_log] == [
        ("waiting for another service to answer", os.getpid()),
        ("nothing taken over", os.getpid()),
    ]
    assert new.start(("listen", Address("127.0.0.1", 0))) == [], "elsewhere it can listen all the same"


@contextmanager
def stranger(folder: Path, *words: bytes, sockets: Sequence[socket.socket] = ()) -> Iterator[None]:
    """One among the services that says this, with these sockets, to whoever asks, and waits until that has gone."""
    services = Services(folder)
    with services.join("stranger") as sock:
        sock.settimeout(5)

        def speak() -> None:
            asking, _ = sock.accept()
            with asking, suppress(OSError):
                asking.settimeout(5)
                asking.recv(65_536)
                for word in words:
                    socket.send_fds(asking, [word], [one.fileno() for one in sockets])
                while asking.recv(65_536):
                    pass

        thread = threading.Thread(target=speak)
        thread.start()
        yield
        thread.join()
    services.close()


def handed_over(*given: object) -> bytes:
    return encoded({"kind": "handed over", "given": list(given)})


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"nonsense\n", id="not JSON"),
        pytest.param(b"\xff\n", id="no text"),
        pytest.param(b"[" * 100_000 + b"\n", id="too deep"),
        pytest.param(b"[]\n", id="no object"),
        pytest.param(b"x" * (LONGEST + PIECE + 1), id="no end"),
        pytest.param(b'{"kind": "handed over"}\n', id="nothing said of what"),
        pytest.param(handed_over([0, 1]), id="without its socket"),
        pytest.param(handed_over([7, 0]), id="what was not wanted"),
        pytest.param(handed_over([0, 0]), id="in no socket"),
        pytest.param(handed_over(["0", "0"]), id="no numbers"),
        pytest.param(handed_over(0), id="no pair"),
    ],
)
def test_an_answer_that_is_none_is_as_good_as_nobody(
    new: Side, tmp_path: Path, quiet_log: list[dict[str, object]], answer: bytes
) -> None:
    with stranger(tmp_path, answer):
        assert new.start(("listen", Address("127.0.0.1", 0))) == []
    assert [line["event"] for line in quiet_log] == ["nothing taken over"]


def test_sockets_that_come_with_such_an_answer_are_closed(new: Side, tmp_path: Path) -> None:
    listening = bind("listen", Address("127.0.0.1", 0))
    with stranger(tmp_path, handed_over([0, 2]), sockets=listening.sockets):
        assert new.start(("listen", Address("127.0.0.1", 0))) == []
    listening.close()
    bind("listen", listening.address).close()  # which nobody has any more


def test_what_is_said_before_the_answer_is_skipped(new: Side, tmp_path: Path) -> None:
    listening = bind("listen", Address("127.0.0.1", 0))
    with stranger(tmp_path, encoded({"kind": "ready"}) + encoded({}) + handed_over([0, 1]), sockets=listening.sockets):
        [bound] = new.start(("listen", listening.address))
        new.stop()
    assert bound.address == listening.address
    listening.close()


def test_who_says_other_things_without_end_is_not_listened_to_for_ever(
    new: Side, tmp_path: Path, quiet_log: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy.handover, "LONGEST_ANSWER", -1)  # it is over when the first has come
    with stranger(tmp_path, encoded({"kind": "ready"})):
        assert new.start(("listen", Address("127.0.0.1", 0))) == []
    assert [line["event"] for line in quiet_log] == ["nothing taken over"]


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(b"nonsense\n", id="not JSON"),
        pytest.param(b"7\n", id="no object"),
        pytest.param(b"{}\n", id="no kind"),
        pytest.param(b'{"kind": []}\n', id="a strange kind"),
        pytest.param(b'{"kind": "sockets"}\n', id="nothing wanted"),
        pytest.param(b'{"kind": "sockets", "namespaces": [], "wanted": [["listen"]]}\n', id="half an address"),
        pytest.param(b'{"kind": "sockets", "namespaces": [], "wanted": [[[], {}]]}\n', id="a strange address"),
        pytest.param(b"x" * (LONGEST + PIECE + 1), id="no end"),
    ],
)
def test_who_talks_nonsense_is_dropped_and_all_else_goes_on(
    old: Side, new: Side, quiet_log: list[dict[str, object]], tmp_path: Path, words: bytes
) -> None:
    old.start(("listen", Address("127.0.0.1", 0)))
    services = Services(tmp_path)
    [sock] = services.living()
    speaking = threading.Thread(target=lambda: _say(sock, words))
    speaking.start()
    old.reactor.later(10, lambda: pytest.fail("nobody is dropped"))
    while not quiet_log:
        old.reactor.turn()
    speaking.join()
    assert [(line["event"], line["log_level"]) for line in quiet_log] == [("peer dropped", "warning")]
    with sock, suppress(ConnectionResetError):
        assert sock.recv(1) == b"", "it is closed"
    services.close()
    turns = old.turns(2)
    assert len(new.start(("listen", old.doors.listen[0].address))) == 1
    turns.join()


def _say(sock: socket.socket, words: bytes) -> None:
    with suppress(OSError):  # it is not heard to the end
        sock.sendall(words)


def test_what_is_of_another_kind_is_skipped(old: Side, new: Side, quiet_log: list[dict[str, object]]) -> None:
    old.start(("listen", Address("127.0.0.1", 0)))
    turns = old.turns(2)
    new.start(("listen", old.doors.listen[0].address))
    turns.join()
    [peer] = new.handover._peers
    peer.channel.send({"kind": "of a later version"})
    new.handover.ready()
    old.reactor.turn()
    assert old.handover.is_succeeded
    assert "peer dropped" not in [line["event"] for line in quiet_log]


def test_of_two_that_start_together_only_the_second_succeeds_the_other(old: Side, new: Side) -> None:
    old.start(("listen", Address("127.0.0.1", 0)))
    turns = old.turns(2)
    new.start(("listen", old.doors.listen[0].address))
    turns.join()
    old.handover.ready()  # only now
    [peer] = new.handover._peers
    with pytest.raises(BlockingIOError):
        peer.sock.recv(1)
    [peer] = old.handover._peers
    peer.channel.send({"kind": "ready"})  # as an earlier version says it
    new.reactor.turn()
    assert (new.handover.is_succeeded, new.changes) == (False, 0)


def test_who_is_of_another_user_gets_nothing(old: Side, new: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    old.start(("listen", Address("127.0.0.1", 0)))
    [sock] = new.handover._services.living() if new.handover._services else []
    with monkeypatch.context() as patch, sock:
        patch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        old.reactor.turn()
        assert sock.recv(1) == b"", "it is closed"


def test_without_a_folder_there_is_nobody(quiet_log: list[dict[str, object]], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for folder in (None, tmp_path / "file"):
        side = Side(folder)
        assert side.start(("listen", Address("127.0.0.1", 0))) == []
        side.handover.ready()
        side.stop()
    assert [line["event"] for line in quiet_log] == ["no handover"]


def test_that_there_will_be_no_handover_is_told_by_who_serves(
    quiet_log: list[dict[str, object]], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    side = Side(tmp_path / "file")
    side.start(("listen", Address("127.0.0.1", 0)))
    side.stop()
    assert quiet_log == [], "who cannot start tells why at its end"
