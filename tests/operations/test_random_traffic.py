"""Whatever clients ask and in whatever order things happen, each request is sent once and each promise kept (P1-P4, P6)."""

import asyncio
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvloop
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.config import Config, load
from tests.conftest import settings_for
from tests.operations.house import House, document, eventually, open_house, status_path
from tests.raw_client import Pattern, RawClient, Response, request
from tests.scripted_origin import Request, Script, ScriptedOrigin, answer, close, read_all, wait_for

PREFER = [b"", b"respond-async", b"respond-async, wait=0", b"respond-async, wait=30", b"wait=0"]
ANSWERS = {
    "small": (200, [answer(200, body=b"small")]),
    "large": (201, [answer(201, body=Pattern(150_000), framing="chunked")]),
    "error": (503, [answer(503, body=b"error")]),
    "closes": (502, [close()]),
    "breaks off": (502, [answer(200, [(b"Content-Length", b"9")], b"short"), close()]),
}


@dataclass(frozen=True)
class Step:
    """Send a request, or do something about an earlier one."""

    act: str  # send, open (the origin answers), delete, look, leave
    number: int
    prefer: bytes = b""
    outcome: str = "small"
    size: int = 0


@dataclass
class Sent:
    """A request, and what became of it."""

    outcome: str
    client: RawClient
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    response: "asyncio.Task[Response | None] | None" = None
    left: bool = False
    deleted: bool = False


steps = st.lists(
    st.one_of(
        st.builds(
            Step,
            st.just("send"),
            st.just(0),
            st.sampled_from(PREFER),
            st.sampled_from(list(ANSWERS)),
            st.sampled_from([0, 10, 100_000]),
        ),
        st.builds(Step, st.sampled_from(["open", "delete", "look", "leave"]), st.integers(0, 12)),
    ),
    max_size=40,
)


class Traffic:
    """Plays the steps against a proxy, and judges in the end."""

    def __init__(self, house: House, origin: ScriptedOrigin) -> None:
        self.house = house
        self.origin = origin
        self.sent: list[Sent] = []
        origin.route(self._script)

    def _script(self, request: Request) -> Script:
        one = self.sent[int(request.target[1:])]
        return [read_all(), wait_for(one.gate), *ANSWERS[one.outcome][1]]

    async def play(self, step: Step) -> None:
        if step.act == "send":
            await self._send(step)
        elif self.sent:
            one = self.sent[step.number % len(self.sent)]
            await {"open": self._open, "delete": self._delete, "look": self._look, "leave": self._leave}[step.act](one)

    async def _send(self, step: Step) -> None:
        one = Sent(step.outcome, await self.house.client())
        self.sent.append(one)
        fields = [(b"Prefer", step.prefer)] if step.prefer else []
        await one.client.send(request("POST", b"/%d" % (len(self.sent) - 1), fields, b"x" * step.size))
        await self.origin.request_complete(len(self.sent))
        one.response = asyncio.create_task(self._response(one))

    async def _response(self, one: Sent) -> Response | None:
        with suppress(ConnectionError):
            return await one.client.response("POST")
        return None

    async def _open(self, one: Sent) -> None:
        one.gate.set()

    async def _leave(self, one: Sent) -> None:
        if not one.left and not (one.response and one.response.done()):
            one.left = True
            one.client.reset()

    async def _look(self, one: Sent) -> None:
        if path := self._path(one):
            assert (await self.house.ask("GET", path)).status in self._possible(one)

    async def _delete(self, one: Sent) -> None:
        if path := self._path(one):
            assert (await self.house.ask("DELETE", path)).status == (404 if one.deleted else 200)
            one.deleted = True

    def _path(self, one: Sent) -> bytes | None:
        """Of its status URL, if its client has been given one."""
        assert one.response
        response = one.response.result() if one.response.done() else None
        return status_path(response) if response and response.status == 202 else None

    def _possible(self, one: Sent) -> set[int]:
        if one.deleted:
            return {404}
        return {202, ANSWERS[one.outcome][0]} if one.gate.is_set() else {202}

    async def judge(self) -> None:
        for one in self.sent:
            one.gate.set()
        for one in self.sent:
            assert one.response
            response = await one.response
            if path := self._path(one):
                response = await self.house.outcome(path)
                assert (b"AsyncResult" in dict(response.fields)) != one.deleted
            if not one.left or response is not None:
                self._judge(one, response)
        await eventually(lambda: not self.house.has_work and not self.house.in_use)
        assert (await self.house.store.usage()).running == 0
        targets = Counter(request.target for request in self.origin.requests)
        assert targets == {b"/%d" % number: 1 for number in range(len(self.sent))}

    def _judge(self, one: Sent, response: Response | None) -> None:
        if one.outcome == "breaks off" and not one.deleted and (response is None or not response.complete):
            return  # it was synchronous, and was visibly broken off
        assert response is not None
        assert response.complete
        status = 404 if one.deleted else ANSWERS[one.outcome][0]
        assert response.status == status
        if status == 201:
            assert response.sha256 == Pattern(150_000).sha256
        elif status in {200, 503}:
            assert response.body == one.outcome.encode()
        else:
            assert document(response)["code"] == ("unknown-operation" if one.deleted else "origin-broke-off")


def configuration(origin_url: str, kind: str, on_disconnect: str, folder: Path) -> Config:
    route = settings_for(origin_url, respond_async={"wait": "20ms"}, on_disconnect=on_disconnect)
    url = "memory:" if kind == "memory" else f"sqlite://{folder}/store"
    file = folder / "proxy.yaml"
    file.write_text(yaml.safe_dump(route | {"store": {"url": url}}))
    return load(file, {})


async def scenario(plan: list[Step], kind: str, on_disconnect: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with ScriptedOrigin() as origin:
            config = configuration(origin.url, kind, on_disconnect, Path(folder))
            async with open_house(config, "keeper") as house:
                traffic = Traffic(house, origin)
                for step in plan:
                    await traffic.play(step)
                await traffic.judge()


@pytest.mark.parametrize(("kind", "examples"), [("memory", 100), ("sqlite", 40)])
def test_each_request_is_sent_once_and_each_promise_kept(kind: str, examples: int) -> None:
    @settings(max_examples=examples)
    @given(plan=steps, on_disconnect=st.sampled_from(["cancel", "finish"]))
    def holds(plan: list[Step], on_disconnect: str) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(scenario(plan, kind, on_disconnect))

    holds()
