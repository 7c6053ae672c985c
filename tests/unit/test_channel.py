"""Messages between two processes."""

import socket
from collections.abc import Iterator

import pytest

from proxy.channel import Channel, Lines, Message, encoded
from proxy.reactor import Reactor


def test_messages_are_found_however_they_are_cut() -> None:
    sent: list[Message] = [{"kind": "one"}, {"kind": "two", "text": "a\nb"}, {"kind": "three"}]
    data, lines = b"".join(map(encoded, sent)), Lines()
    assert [message for byte in data for message in lines.feed(bytes([byte]))] == sent
    assert list(lines.feed(data)) == sent


class Ends:
    """A channel, and the other end of its pair."""

    def __init__(self) -> None:
        self.reactor = Reactor()
        self.heard: list[Message] = []
        self.lost = 0
        ours, self.other = socket.socketpair()
        self.channel = Channel(ours, self.reactor, self.heard.append, self._lose)

    def _lose(self) -> None:
        self.lost += 1


@pytest.fixture
def ends() -> Iterator[Ends]:
    ends = Ends()
    yield ends
    ends.channel.close()
    ends.other.close()
    ends.reactor.close()


def test_what_is_said_is_heard_and_the_end_is_told_once(ends: Ends) -> None:
    ends.other.sendall(encoded({"kind": "ready"}))
    ends.reactor.turn()
    ends.other.close()
    ends.reactor.turn()
    assert (ends.heard, ends.lost) == ([{"kind": "ready"}], 1)


def test_who_sends_does_not_wait_and_nothing_is_lost(ends: Ends) -> None:
    message: Message = {"kind": "large", "text": "x" * 1_000_000}
    ends.channel.send(message)
    ends.channel.send({"kind": "next"})
    lines, came = Lines(), list[Message]()
    ends.other.settimeout(0)
    while len(came) < 2:
        try:
            came += lines.feed(ends.other.recv(65_536))
        except BlockingIOError:
            ends.reactor.turn()
    assert came == [message, {"kind": "next"}]


def test_what_a_process_said_before_its_end_is_heard_after_it(ends: Ends) -> None:
    ends.other.sendall(encoded({"kind": "failed"}))
    ends.other.close()
    ends.channel.finish()
    assert ends.heard == [{"kind": "failed"}]
    ends.channel.send({"kind": "ping"})  # to nobody
    assert ends.lost == 0


def test_who_is_gone_is_sent_nothing(ends: Ends) -> None:
    ends.other.close()
    ends.channel.send({"kind": "ping"})
    ends.reactor.turn()
    assert ends.lost == 1
