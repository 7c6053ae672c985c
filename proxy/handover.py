"""How listening sockets come from one service to the next that is started on the same store.

The new one asks those that are there for the addresses of its configuration, gets the sockets themselves, and opens the
others as usual. From then on both accept from the same queues, so that the old one can be stopped and nobody is refused.
The connection between the two stays until one of them ends: so each knows whether a path is still the other's, and the
old one answers operators until the new one is ready, and again if that goes away.

    from the new one    sockets       wants those of these addresses, each after the key that the configuration has it
                                      under; addresses mean the same to both only in the same `namespaces`
                        ready         it serves
    from the old one    handed over   which of them, with their sockets
"""

import secrets
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, cast

import structlog

from proxy.channel import PIECE, Channel, Lines, Message, encoded
from proxy.config import Address
from proxy.listeners import Bound, Doors
from proxy.reactor import Reactor
from proxy.services import Services, is_ours, namespaces

log = structlog.get_logger()

MOST: Final = 250  # sockets: what the kernel lets pass at once, nearly
ID_BYTES: Final = 9

Wanted = tuple[str, Address]  # an address, after the key that the configuration has it under


class Peer:
    """Another service on the same store."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.shares: set[Bound] = set()
        self.serves = False  # it came after this one, and is ready
        self.channel: Channel

    @property
    def shares_admin(self) -> bool:
        return any(bound.key == "admin" for bound in self.shares)

    def share(self, bounds: Iterable[Bound]) -> None:
        """Both accept on these."""
        for bound in bounds:
            self.shares.add(bound)
            bound.sharers.add(self)

    def part(self) -> None:
        """It is gone."""
        for bound in self.shares:
            bound.sharers.discard(self)


class Handover:
    """The services before and after this one. Without a folder, or with one that cannot be used, there are none."""

    def __init__(self, reactor: Reactor, folder: Path | None, on_change: Callable[[], None]) -> None:
        self._reactor = reactor
        self._on_change = on_change  # called when `leaves_operators` may have changed
        self._services = _services(folder)
        self._name = secrets.token_urlsafe(ID_BYTES)
        self._sock: socket.socket | None = None
        self._peers: set[Peer] = set()
        self._doors = Doors((), None)

    @property
    def is_succeeded(self) -> bool:
        """Whether there is one that came after this one, and serves in its place."""
        return any(peer.serves for peer in self._peers)

    @property
    def leaves_operators(self) -> bool:
        """Whether such a one answers operators too."""
        return any(peer.serves and peer.shares_admin for peer in self._peers)

    def take_over(self, wanted: list[Wanted], open_doors: Callable[[list[Bound]], Doors]) -> Doors:
        """The doors of a new service: made by `open_doors` of what others hand over. From now on this one is found."""
        if self._services is None:
            return open_doors([])
        with self._services.alone():  # so that of two that start together one finds the other
            doors = open_doors([bound for sock in self._services.living() for bound in self._inherit(sock, wanted)])
            self._join(self._services)
        self.offer(doors)
        return doors

    def offer(self, doors: Doors) -> None:
        """From now on hand over these."""
        self._doors = doors

    def ready(self) -> None:
        """Tell those that were there before that this one serves."""
        for peer in self._peers:
            peer.channel.send({"kind": "ready"})

    def close(self) -> None:
        if self._services is not None:
            self._services.remove(self._name)
        self.abandon()

    def abandon(self) -> None:
        """Close it in a forked child: to others it is still there."""
        for peer in self._peers:
            peer.sock.close()
        if self._sock is not None:
            self._sock.close()
        if self._services is not None:
            self._services.close()

    def _join(self, services: Services) -> None:
        try:
            self._sock = services.join(self._name)
        except OSError as exc:  # a disk that is full or read-only: without a successor one can do
            _none(exc)
        else:
            self._reactor.watch(self._sock, self._accept)

    def _inherit(self, sock: socket.socket, wanted: list[Wanted]) -> list[Bound]:
        """What a service hands over of what is wanted, and is wanted no longer."""
        try:
            bounds = _asked(sock, wanted)
        except OSError as exc:  # it does not answer, or ended meanwhile
            log.warning("nothing taken over", reason=str(exc))
            sock.close()
            return []
        for bound in bounds:
            wanted.remove((bound.key, bound.wanted))
        self._welcome(peer := Peer(sock))
        peer.share(bounds)
        if bounds:
            log.info("taken over", listen=[str(bound.address) for bound in bounds])
        return bounds

    def _accept(self, _: int) -> None:
        with suppress(OSError):  # it has left already
            sock, _ = cast("socket.socket", self._sock).accept()
            if is_ours(sock):
                self._welcome(Peer(sock))
            else:
                sock.close()

    def _welcome(self, peer: Peer) -> None:
        peer.channel = Channel(peer.sock, self._reactor, partial(self._heard, peer), partial(self._lost, peer))
        self._peers.add(peer)

    def _heard(self, peer: Peer, message: Message) -> None:
        match message["kind"]:
            case "sockets":
                self._hand_over(peer, message["wanted"] if message["namespaces"] == namespaces() else [])
            case "ready":
                self._succeeded_by(peer)
            case _:
                pass

    def _hand_over(self, peer: Peer, wanted: list[tuple[str, str]]) -> None:
        mine = {(bound.key, str(bound.address)): bound for bound in self._doors.all}
        given = [(number, mine[key, address]) for number, (key, address) in enumerate(wanted) if (key, address) in mine]
        peer.share(bound for _, bound in given)
        answer = {"kind": "handed over", "given": [(number, len(bound.sockets)) for number, bound in given]}
        peer.channel.hand(answer, [sock for _, bound in given for sock in bound.sockets])
        if given:
            log.info("handing over", listen=[str(bound.address) for _, bound in given])

    def _succeeded_by(self, peer: Peer) -> None:
        if peer.shares:
            peer.serves = True
            log.info("handed over")
            self._on_change()

    def _lost(self, peer: Peer) -> None:
        peer.part()
        peer.channel.close()
        self._peers.discard(peer)
        if peer.serves:
            log.warning("successor gone")
            self._on_change()


def _asked(sock: socket.socket, wanted: list[Wanted]) -> list[Bound]:
    asked = [(key, str(address)) for key, address in wanted]
    sock.sendall(encoded({"kind": "sockets", "namespaces": namespaces(), "wanted": asked}))
    lines, descriptors, answers = Lines(), list[int](), list[Message]()
    while not answers:
        data, more, _, _ = socket.recv_fds(sock, PIECE, MOST)
        if not data:
            raise ConnectionResetError("it has ended")
        descriptors += more
        answers += lines.feed(data)
    sockets = iter([socket.socket(fileno=descriptor) for descriptor in descriptors])
    given: list[tuple[int, int]] = answers[0]["given"]
    return [Bound(*wanted[number], tuple(islice(sockets, count))) for number, count in given]


def _services(folder: Path | None) -> Services | None:
    try:
        return Services(folder) if folder is not None else None
    except OSError as exc:
        _none(exc)
        return None


def _none(exc: OSError) -> None:
    """What is wrong with the store itself is told by who opens that."""
    log.warning("no handover", reason=str(exc))
