"""The supervisor's loop."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import pytest

from proxy.reactor import Reactor, SignalWatch


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    reactor = Reactor()
    yield reactor
    reactor.close()


def test_timers_are_called_in_their_order_and_not_if_they_were_cancelled(reactor: Reactor) -> None:
    called: list[str] = []
    reactor.later(0.002, lambda: called.append("late"))
    reactor.later(0.001, lambda: called.append("cancelled")).cancel()
    reactor.later(0, lambda: called.append("first"))
    reactor.later(0, lambda: called.append("second"))
    while "late" not in called:
        reactor.turn()
    assert called == ["first", "second", "late"]


def test_what_a_timer_wants_called_has_another_turn_in_which_sockets_have_theirs(reactor: Reactor) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        called: list[str] = []

        def again() -> None:
            called.append("timer")
            theirs.send(b"x")
            if len(called) < 5:
                reactor.later(0, again)

        reactor.watch(ours, lambda _: called.append(f"{len(ours.recv(9))} read"))
        reactor.later(0, again)
        for _ in range(3):
            reactor.turn()
        assert called == ["timer", "1 read", "timer", "1 read", "timer"]


def test_a_socket_that_an_earlier_callback_has_closed_is_not_read(reactor: Reactor) -> None:
    pairs = [socket.socketpair() for _ in range(2)]
    called: list[int] = []

    def close_both(_: int) -> None:
        called.append(1)
        for ours, _theirs in pairs:
            reactor.forget(ours)
            ours.close()

    for ours, theirs in pairs:
        reactor.watch(ours, close_both)
        theirs.send(b"x")
    reactor.turn()
    reactor.forget(pairs[0][1])  # which it never watched
    assert called == [1]
    for _, theirs in pairs:
        theirs.close()


def test_what_was_for_a_closed_socket_is_not_told_of_the_next_one_with_its_number(reactor: Reactor) -> None:
    with ExitStack() as stack:
        pairs = [list(map(stack.enter_context, socket.socketpair())) for _ in range(3)]
        called: list[str] = []

        def give_number_away(of: socket.socket, _: int) -> None:
            called.append("ready")
            reactor.forget(of)
            number = of.detach()
            os.dup2(pairs[2][0].fileno(), number)
            quiet = stack.enter_context(socket.socket(fileno=number))
            reactor.watch(quiet, lambda _: called.append("quiet"))

        for pair, other in (pairs[:2], pairs[1::-1]):
            reactor.watch(pair[0], partial(give_number_away, other[0]))
            pair[1].send(b"x")
        reactor.turn()
        assert called == ["ready"]


def test_signals_are_events_and_ignored_in_the_end(reactor: Reactor) -> None:
    called: list[str] = []
    numbers = {signal.SIGUSR1: lambda: called.append("one"), signal.SIGCHLD: lambda: called.append("child")}
    before = {number: signal.getsignal(number) for number in numbers}
    watch = SignalWatch(reactor, numbers)
    try:
        with watch.held_back():
            os.kill(os.getpid(), signal.SIGUSR1)
            assert called == []
        os.kill(os.getpid(), signal.SIGCHLD)
        while len(called) < 2:
            reactor.turn()
        assert sorted(called) == ["child", "one"]
        watch.close()
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
