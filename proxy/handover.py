"""How listening sockets come from one service to the next that is started on the same store.

The new one asks those that are there for the addresses of its configuration, gets the sockets themselves, and opens the
others as usual. From then on both accept from the same queues, so that the old one can be stopped and nobody is refused.

There is no moment in which nobody listens: a socket listens as long as any process has it, and from the old one's answer
on it is the new one's too, even while it is under way. However slowly that goes on, who connects waits in the queue. A new
one waits for the answer for a while, and says so. One that gets none can open nothing at which the old one listens: then
it does not start but says what to do, and the old one goes on.

The connection between the two stays until one of them ends: so each knows whether a path is still the other's, and the
old one answers operators until the new one is ready, and again if that goes away.

    from the new one    sockets       wants those of these addresses, each after the key that the configuration has it
                                      under; an address means the same to both only in the same `namespaces`
                        ready         it serves
    from the old one    handed over   which of them, with their sockets

Who says something else of these is dropped; what is of another kind is skipped, as it may be of a later version.
"""

import secrets
import socket
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Final, TypeVar, cast

import structlog

from proxy.channel import LONGEST, PIECE, Channel, Lines, Message, Nonsense, encoded
from proxy.config import Address
from proxy.listeners import Bound, CannotListen, Doors
from proxy.reactor import Reactor
from proxy.services import LONGEST_ANSWER, SOON, Services, is_ours, named, namespaces, process, remedy

log = structlog.get_logger()

MOST: Final = 250  # sockets: what the kernel lets pass at once, nearly
ID_BYTES: Final = 9

Part = TypeVar("Part")
Wanted = tuple[str, Address]  # an address, after the key that the configuration has it under


class Peer:
    """Another service on the same store."""

    def __init__(self, sock: socket.socket, *, is_newer: bool) -> None:
        self.sock = sock
        self.shares: set[Bound] = set()
        self.is_newer = is_newer  # it came after this one
        self.serves = False  # that as well, and it is ready
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
        self._hindrance: OSError | None = None  # why there can be none after it
        self._services = self._meeting_place(folder)
        self._name = secrets.token_urlsafe(ID_BYTES)
        self._sock: socket.socket | None = None
        self._peers: set[Peer] = set()
        self._silent: list[int | None] = []  # the processes of those who have not answered
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
        """The doors of a new service: made by `open_doors` of what others hand over. From now on this one is found.

        Raises Hindered, and what `open_doors` raises.
        """
        if self._services is None:
            return open_doors([])
        with self._services.alone():  # so that of two that start together one finds the other
            held = [bound for sock in self._services.living() for bound in self._inherit(sock, wanted)]
            try:
                doors = open_doors(held)
            except CannotListen as exc:
                raise CannotListen(" ".join([str(exc), *map(_unanswered, self._silent)])) from exc
            self._join(self._services)
        self.offer(doors)
        return doors

    def offer(self, doors: Doors) -> None:
        """From now on hand over these."""
        self._doors = doors

    def ready(self) -> None:
        """Tell those that were there before that this one serves."""
        if self._hindrance is not None:  # who cannot serve without the folder either has told so
            log.warning("no handover", reason=str(self._hindrance))
        for peer in self._peers:
            if not peer.is_newer:
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

    def _meeting_place(self, folder: Path | None) -> Services | None:
        try:
            return Services(folder) if folder is not None else None
        except OSError as exc:
            self._hindrance = exc
            return None

    def _join(self, services: Services) -> None:
        try:
            self._sock = services.join(self._name)
        except OSError as exc:  # a disk that is full or read-only: without a successor one can do
            self._hindrance = exc
        else:
            self._reactor.watch(self._sock, self._accept)

    def _inherit(self, sock: socket.socket, wanted: list[Wanted]) -> list[Bound]:
        """What a service hands over of what is wanted, and is wanted no longer."""
        try:
            bounds = _asked(sock, wanted)
        except (OSError, Nonsense) as exc:  # it does not answer as it should, or ended meanwhile
            log.warning("nothing taken over", pid=process(sock), reason=str(exc))
            if isinstance(exc, TimeoutError):
                self._silent.append(process(sock))
            sock.close()
            return []
        for bound in bounds:
            wanted.remove((bound.key, bound.wanted))
        self._welcome(peer := Peer(sock, is_newer=False))
        peer.share(bounds)
        if bounds:
            log.info("taken over", **_shared(bounds, process(sock)))
        return bounds

    def _accept(self, _: int) -> None:
        with suppress(OSError):  # it has left already
            sock, _ = cast("socket.socket", self._sock).accept()
            if is_ours(sock):
                self._welcome(Peer(sock, is_newer=True))
            else:
                sock.close()

    def _welcome(self, peer: Peer) -> None:
        heard, lost = partial(self._heard, peer), partial(self._lost, peer)
        peer.channel = Channel(peer.sock, self._reactor, heard, lost, LONGEST)
        self._peers.add(peer)

    def _heard(self, peer: Peer, message: Message) -> None:
        match message:
            case {"kind": "sockets", "namespaces": theirs, "wanted": list(wanted)}:
                asked = [_pair(one, str) for one in wanted]
                self._hand_over(peer, asked, theirs)
            case {"kind": "ready"}:
                self._succeeded_by(peer)
            case {"kind": str(kind)} if kind != "sockets":
                pass
            case _:
                raise Nonsense("no such message")

    def _hand_over(self, peer: Peer, wanted: list[tuple[str, str]], theirs: object) -> None:
        same = [bound for bound in self._doors.all if _is_same_place(bound.address, theirs)]
        mine = {(bound.key, str(bound.address)): bound for bound in same}
        given = [(number, mine[key, address]) for number, (key, address) in enumerate(wanted) if (key, address) in mine]
        peer.share(bound for _, bound in given)
        answer = {"kind": "handed over", "given": [(number, len(bound.sockets)) for number, bound in given]}
        peer.channel.hand(answer, [sock for _, bound in given for sock in bound.sockets])
        if given:
            log.info("handing over", **_shared([bound for _, bound in given], process(peer.sock)))

    def _succeeded_by(self, peer: Peer) -> None:
        if peer.is_newer and peer.shares:
            peer.serves = True
            log.info("handed over")
            self._on_change()

    def _lost(self, peer: Peer, nonsense: Nonsense | None) -> None:
        if nonsense is not None:
            log.warning("peer dropped", reason=str(nonsense))
        peer.part()
        peer.channel.close()
        self._peers.discard(peer)
        if peer.serves:
            log.warning("successor gone")
            self._on_change()


def _is_same_place(address: Address, theirs: object) -> bool:
    """Whether an address is one place, for this service and for one in those namespaces.

    Files are a matter of paths alone: each of systemd's units that is protected has a view of them of its own.
    """
    mine = namespaces()
    return theirs == mine if address.unix_path is not None else isinstance(theirs, list) and theirs[:1] == mine[:1]


def _asked(sock: socket.socket, wanted: list[Wanted]) -> list[Bound]:
    """What the service there hands over of this. Raises OSError, Nonsense."""
    asked = [(key, str(address)) for key, address in wanted]
    sock.sendall(encoded({"kind": "sockets", "namespaces": namespaces(), "wanted": asked}))
    sockets: list[socket.socket] = []
    with ExitStack() as undo:
        given = _given(_answer(sock, sockets, undo), wanted, sockets)
        came = iter(sockets)
        bounds = [Bound(*wanted[number], tuple(islice(came, count))) for number, count in given]
        undo.pop_all()
    return bounds


def _answer(sock: socket.socket, sockets: list[socket.socket], undo: ExitStack) -> Message:
    """The answer, which is not the first that it says perhaps; the sockets that come with it are added to these."""
    lines, until = Lines(LONGEST), monotonic() + LONGEST_ANSWER
    _wait(sock)
    while data := _received(sock, sockets, undo, until):
        for message in lines.feed(data):
            if message.get("kind") == "handed over":
                return message
    raise ConnectionResetError("it has ended")


def _wait(sock: socket.socket) -> None:
    """Wait for what it says, and do not wait long without a word of one's own."""
    with suppress(TimeoutError):
        sock.settimeout(SOON)
        sock.recv(1, socket.MSG_PEEK)
        return
    log.warning("waiting for another service to answer", pid=process(sock), seconds=LONGEST_ANSWER)


def _received(sock: socket.socket, sockets: list[socket.socket], undo: ExitStack, until: float) -> bytes:
    """What it says next. Raises TimeoutError when that time has come, whatever it has said before."""
    if (left := until - monotonic()) <= 0:
        raise TimeoutError("timed out")
    sock.settimeout(left)
    data, descriptors, _, _ = socket.recv_fds(sock, PIECE, MOST)
    sockets += [undo.enter_context(socket.socket(fileno=descriptor)) for descriptor in descriptors]
    return data


def _given(answer: Message, wanted: list[Wanted], sockets: list[socket.socket]) -> list[tuple[int, int]]:
    """Which of what is wanted is given, and in how many of the sockets each. Raises Nonsense."""
    given = answer.get("given")
    pairs = [_pair(one, int) for one in given] if isinstance(given, list) else []
    numbers = {number for number, count in pairs if 0 <= number < len(wanted) and count > 0}
    if not isinstance(given, list) or len(numbers) < len(given) or sum(count for _, count in pairs) != len(sockets):
        raise Nonsense("its answer is not one to the question")
    return pairs


def _pair(value: object, kind: type[Part]) -> tuple[Part, Part]:
    """Raises Nonsense."""
    match value:
        case [one, other] if isinstance(one, kind) and isinstance(other, kind):
            return one, other
        case _:
            raise Nonsense("no pair")


def _shared(bounds: Iterable[Bound], pid: int | None) -> dict[str, object]:
    """What the log tells of a handover, which who starts a service twice by mistake has not asked for."""
    number = "PID" if pid is None else pid
    note = f"{named(pid)} and this one serve side by side until one is ended; `kill -TERM {number}` ends the other."
    return {"listen": [str(bound.address) for bound in bounds], "pid": pid, "note": note}


def _unanswered(pid: int | None) -> str:
    return (
        f"{named(pid)}, a service on the same store, has not answered for {LONGEST_ANSWER:g} seconds, and may have it:"
        f" {remedy(pid)}."
    )
