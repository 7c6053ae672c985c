"""The origins: a connection for every exchange, to one of an origin's servers, in a place that the broker has given."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager
from itertools import chain
from typing import Any, Final, Self

from proxy.broker import Figures
from proxy.checks import keep_checking
from proxy.config import HealthCheck, OriginSettings
from proxy.connection import MOMENT, Connection
from proxy.errors import Busy, OriginError, OriginTimeout, OriginUnreachable
from proxy.places import Places
from proxy.pool import Ask, Link, Place, Turn
from proxy.reasons import Hold, left_alone, no_turn
from proxy.servers import Server, Servers

IN_USE: Final = "All connections to the origin are in use."
LEFT_ALONE: Final = "The origin could not be reached several times, and is left alone for a moment."
CHECK: Final = "(check)"  # what stands for a route where a server is tried
AT_ONCE: Final = Turn(patience=0.1, route=CHECK)  # as far as there are other processes to be asked


class Origin:
    """One origin and its connections."""

    def __init__(self, name: str, settings: OriginSettings, max_fields: int, places: Places) -> None:
        key = " ".join([name, *map(str, settings.url)])  # another URL is another backend
        loop = asyncio.get_running_loop()
        self.name = name
        self.settings = settings
        self.servers = Servers(name, settings, max_fields)
        self._pool = places.pool(key, settings.max_connections, settings.keepalive_timeout, loop.time)
        self._used: dict[Connection, tuple[Place, Server]] = {}
        self._sweep: asyncio.TimerHandle | None = None

    async def connection(self, turn: Turn, line_known: Callable[[], None] | None = None) -> Connection:
        """A connection for one exchange, an idle one or a new one. To be given back.

        `line_known` is called when it is known whether it has to stand in line for a place; not for an idle connection.

        While the origin is left alone, those without end of patience wait until it is back. Raises Busy if there is no
        place in time, OriginUnreachable, OriginTimeout.
        """
        if (idle := self.idle_connection(turn)) is not None:
            return idle
        while True:
            if line_known is not None and self.left_alone:
                line_known()  # nobody stands in line before there is one to be tried
            await self._to_be_tried(turn)
            try:
                return await self._connected(await self._granted(turn, line_known))
            except OriginError:
                if turn.patience is not None or not self.left_alone:
                    raise  # else it was the last attempt, and nothing was sent: it stands still like those behind it

    def idle_connection(self, turn: Turn) -> Connection | None:
        """A connection that an exchange can have without waiting and without overtaking anybody. To be given back."""
        asks = turn.later and (turn.max_running is not None or self._pool.contended)
        server = None if asks else self.servers.next()
        idle = self._pool.take(server, turn.route) if server is not None else None
        return self._use(*idle) if idle is not None else None

    async def another(self, connection: Connection) -> Connection:
        """A new connection in the place of this one, which went stale. Raises as `connection` does; that one is given back."""
        connection.close()
        return await self._connected(self._leave(connection))

    def give_back(self, connection: Connection) -> None:
        """Keep the connection for the next exchange if it can carry one, else close it."""
        self._pool.give_back(self._leave(connection), reusable=connection.reusable)

    def check(self) -> None:
        """Raise OriginUnreachable if no connection would be tried now."""
        if self.left_alone:
            raise self._left_alone()

    @property
    def left_alone(self) -> bool:
        """Whether no connection would be tried now."""
        return self.servers.next() is None

    def held_by(self, turn: Turn) -> Hold:
        """What holds whoever waits for this turn: a bound that keeps it in line, or only that it is connecting."""
        return self._pool.held_by(turn)

    @property
    def used(self) -> int:
        """How many connections exchanges have."""
        return len(self._used)

    @property
    def idle(self) -> int:
        """How many lie idle."""
        return self._pool.idle

    @property
    def used_by(self) -> dict[str, int]:
        """How many of its connections, those that are being opened too, are used for each route."""
        return self._pool.used_by

    @property
    def figures(self) -> Figures:
        """How things stand here, without other processes."""
        return Figures(self._pool.open, self._pool.waiting)

    @property
    def waiting(self) -> int:
        """How many wait here for a connection: for one of those that there may be, or until one can be tried."""
        return self._pool.waiting - self._pool.held + self.servers.awaited

    @property
    def held(self) -> int:
        """How many of those that wait here do so until fewer operations of their route run, not for a connection."""
        return self._pool.held

    def connections_to(self, server: Server) -> tuple[int, int]:
        """How many connections are open to one of its servers from here, and how many of these are idle."""
        return self._pool.connections_to(server)

    def close(self) -> None:
        """Close what is idle. Connections in use are their exchanges' to close."""
        if self._sweep is not None:
            self._sweep.cancel()
        self._pool.close()

    @asynccontextmanager
    async def reaching(self, server: Server) -> AsyncIterator[Connection]:
        """A new connection to this very server, for a moment. Raises Busy if there is no place at once; OriginError."""
        place = await self._granted(AT_ONCE)
        try:
            if place.link is not None:
                place.link.connection.close()
            yield (await self._open_to(server, await _emptied(place))).connection
        finally:
            self._pool.give_back(place, reusable=False)

    def _left_alone(self) -> OriginUnreachable:
        return OriginUnreachable(LEFT_ALONE, why=left_alone(self.name))

    # A place.

    async def _to_be_tried(self, turn: Turn) -> None:
        if turn.patience is None:
            await self.servers.any_to_try()
        else:
            self.check()

    async def _granted(self, turn: Turn, line_known: Callable[[], None] | None = None) -> Place:
        """A place, with a connection in it or without. Raises Busy."""
        granted: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        number = self._pool.ask(Ask(turn, granted, line_known), self.servers.next())
        try:
            async with asyncio.timeout(turn.patience):
                return await granted
        except BaseException as exc:
            self._pool.stop_waiting(number, granted)
            if isinstance(exc, TimeoutError):
                raise Busy(IN_USE, why=no_turn(self.name, self.settings, closing=self._pool.closing)) from exc
            raise

    def _use(self, place: Place, link: Link) -> Connection:
        link.server.exchanges += 1
        self._used[link.connection] = (place, link.server)
        return link.connection

    def _leave(self, connection: Connection) -> Place:
        """Take the connection's place from its exchange."""
        place, server = self._used.pop(connection)
        server.exchanges -= 1
        return place

    # New connections.

    async def _connected(self, place: Place) -> Connection:
        """The connection that is open at the place, or a new one to the first server that can be reached."""
        try:
            if place.link is not None and place.link.server.health.left_alone:
                place.link.connection.close()
            if place.link is not None and place.link.connection.closed:
                await _emptied(place)
            return self._use(place, place.link or await self._open(place))
        except OriginError:
            self._pool.give_back(place)
            raise
        except BaseException:  # in the middle of an attempt, which the origin may have seen as a connection
            asyncio.get_running_loop().call_later(MOMENT, self._pool.give_back, place)
            raise

    async def _open(self, place: Place) -> Link:
        error: OriginError = self._left_alone()
        for server in self.servers.in_turn():
            try:
                return await self._open_to(server, place)
            except OriginUnreachable as exc:
                error = exc
            except OriginTimeout as exc:
                error = exc
                await asyncio.sleep(MOMENT)  # in which it sees the end of the attempt
        raise error

    async def _open_to(self, server: Server, place: Place) -> Link:
        place.link = link = Link(server, await server.connect())
        link.connection.lost.add_done_callback(lambda _: self._pool.lost(place))
        if self._sweep is None:
            self._sweep_in(self.settings.keepalive_timeout)
        return link

    def _close_stale(self) -> None:
        """Close what has been idle for long enough; come again while anything is open."""
        self._sweep = None
        pause = self._pool.close_stale()
        if pause is not None:
            self._sweep_in(pause)

    def _sweep_in(self, seconds: float) -> None:
        self._sweep = asyncio.get_running_loop().call_later(seconds, self._close_stale)


class Origins(dict[str, Origin]):
    """The origins of a configuration, by name."""

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, settings: Mapping[str, OriginSettings], max_fields: int, places: Places
    ) -> AsyncIterator[Self]:
        """All origins, with their checks; these end and idle connections are closed on leaving."""
        origins = cls({name: Origin(name, origin, max_fields, places) for name, origin in settings.items()})
        checks = [_checks(origin, check) for origin in origins.values() if (check := origin.settings.health_check)]
        tasks = {asyncio.get_running_loop().create_task(work) for work in chain.from_iterable(checks)}
        try:
            yield origins
        finally:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
            for origin in origins.values():
                origin.close()


def _checks(origin: Origin, settings: HealthCheck) -> Iterator[Coroutine[Any, Any, None]]:
    return (keep_checking(server, settings, origin.reaching) for server in origin.servers)


async def _emptied(place: Place) -> Place:
    """The same, when the connection that is being closed there is lost."""
    if place.link is not None:
        await asyncio.wait({place.link.connection.lost})
    return place
