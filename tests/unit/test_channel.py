"""Messages between two processes."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from operator import length_hint

import pytest

from proxy.channel import Channel, Lines, Link, Message, Nonsense, encoded, in_turns
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
        self.lost: list[Nonsense | None] = []
        ours, self.other = socket.socketpair()
        self.channel = Channel(ours, self.reactor, self.heard.append, self.lost.append)


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
    assert (ends.heard, ends.lost) == ([{"kind": "ready"}], [None])


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
    assert not ends.lost


def test_who_is_gone_is_sent_nothing(ends: Ends) -> None:
    ends.other.close()
    ends.channel.send({"kind": "ping"})
    ends.reactor.turn()
    assert ends.lost == [None]


def test_whoever_talks_nonsense_is_lost_and_heard_no_longer(ends: Ends) -> None:
    ends.other.sendall(
        encoded({"kind": "ready"}) + b'{"kind":"figu' + encoded({"kind": "ended"}) + encoded({"kind": "x"})
    )
    ends.reactor.turn()
    ends.reactor.later(0, lambda: None)
    ends.reactor.turn()
    assert ends.heard == [{"kind": "ready"}]
    assert [str(nonsense) for nonsense in ends.lost] == ["not JSON"]


def test_nonsense_that_a_process_said_before_its_end_is_told_and_the_channel_is_closed(ends: Ends) -> None:
    ends.other.sendall(b"nonsense\n")
    ends.other.close()
    with pytest.raises(Nonsense):
        ends.channel.finish()
    ends.channel.finish()  # there is nothing any more


def test_each_of_many_messages_is_made_when_there_has_been_a_turn_for_all_else() -> None:
    numbers, sent, calls = iter(range(3)), list[Message](), list[Callable[[], None]]()
    in_turns(({"number": number} for number in numbers), sent.append, calls.append)
    while calls:
        assert [message["number"] for message in sent] == list(range(3 - length_hint(numbers)))
        calls.pop()()
        assert len(calls) <= 1
    assert len(sent) == 3


async def test_the_last_words_come_after_all_that_the_other_side_has_not_taken_before() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        link = Link(lambda _: None)
        await asyncio.get_running_loop().connect_accepted_socket(lambda: link, ours)
        reader, writer = await asyncio.open_connection(sock=theirs, limit=4_000_000)
        sent: list[Message] = [{"kind": "figures", "text": str(number) * 1_000_000} for number in range(3)]
        for message in sent:
            link.send(message)
            await asyncio.sleep(0)  # so that the first is under way already, and is stuck
        finishing = asyncio.ensure_future(link.finish({"kind": "ended"}))
        await asyncio.sleep(0)
        link.send({"kind": "figures", "text": "too late"})
        data = await reader.read()
        assert list(Lines().feed(data)) == [*sent, {"kind": "ended"}]
        await finishing
        writer.close()


async def test_who_has_said_the_last_does_not_wait_for_one_that_is_gone() -> None:
    ours, theirs = socket.socketpair()
    link = Link(lambda _: None)
    await asyncio.get_running_loop().connect_accepted_socket(lambda: link, ours)
    finishing = asyncio.ensure_future(link.finish({"kind": "ended", "text": "x" * 1_000_000}))
    await asyncio.sleep(0)
    theirs.close()
    async with asyncio.timeout(5):
        await finishing
