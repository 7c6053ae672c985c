"""The last hour of routes on the operator page: drawn, and read in words."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.async_api import Page, expect

BEGUN = datetime(2026, 5, 1, 12, tzinfo=UTC)
POINT = {"operations": 0.5, "p50": 0.25, "p99": 3.0, "in_time": 0.985}
TOOK = {"operation_p50": 15.2, "operation_p95": 20, "operation_p99": 20}
BUSY = {**POINT, **TOOK, "p95": 1.0, "requests": 2.0, "failures": {"busy": 1}}
MANY = [f"route-{number}" for number in range(300)]
LINES = 10  # of a route that has figures for all of them

SHOW = """async ({ moments, ...told }) => {
    const { Routes } = await import("/page/routes.js");
    const place = document.querySelector("main");
    place.replaceChildren();
    const routes = new Routes(place, document.createElement("p"));
    routes.show(told);
    routes.add(moments);
    return document.querySelectorAll("path.line[d]").length;
}"""


async def drawn_at_once(
    page: Page, names: Sequence[str], points: Sequence[dict[str, Any]], *, later: bool = True
) -> int:
    """How many lines are drawn when the page has been told of these routes, all of which had these points."""
    moments = [
        {
            "at": (BEGUN + timedelta(seconds=10 * number)).isoformat(),
            "routes": dict.fromkeys(names, point) if point else {},
        }
        for number, point in enumerate(points)
    ]
    routes = [{"name": name, "path": "/", "origin": "legacy", "asynchronous": later} for name in names]
    return int(await page.evaluate(SHOW, {"step": 10, "routes": routes, "moments": moments}))


async def test_the_last_hour_of_a_route_can_be_read_with_the_arrow_keys(page: Page) -> None:
    points: list[dict[str, Any]] = [{**POINT, "requests": number} for number in range(360)]
    points[1]["failures"] = {"busy": 2}
    await drawn_at_once(page, ["reports"], points)
    hour = page.get_by_role("slider", name="The last hour of route reports")
    said = (
        "Requests: 359/s; Failures: 0 in 10 s; Time to a 202 or other answer: p50 ≤ 250 ms, p95 -, p99 ≤ 3.0 s; "
        "Operations: 0.5/s; Answered in time: 98.5 %; Time from 202 to end: none."
    )
    await expect(hour).to_have_attribute("aria-valuetext", re.compile(re.escape(said)))
    await expect(hour).to_contain_text("359/s")
    await hour.press("Home")
    await hour.press("ArrowRight")
    await expect(hour).to_have_attribute("aria-valuetext", re.compile("Requests: 1/s; Failures: 2 in 10 s.* 2 busy"))
    await expect(page.locator(".route-card")).to_contain_text("2 busy")
    assert (
        await page.locator("path.line").evaluate_all("lines => lines.every((line) => line.getAttribute('d'))") is False
    )
    await hour.hover(position={"x": 10, "y": 40})
    await expect(page.locator(".route-card time")).to_contain_text("at ")
    await hour.blur()
    await page.mouse.move(0, 0)
    await expect(page.locator(".route-card time")).to_have_text("the last 59 min 50 s")


async def test_how_long_operations_took_stands_beside_how_long_their_202_did(page: Page) -> None:
    await drawn_at_once(page, ["reports"], [{"requests": 0.1, "p50": 0.02, "p95": 0.02, "p99": 0.02, **TOOK}] * 2)
    plot = page.locator("figure", has_text="Time from 202 to end")
    await expect(plot).to_contain_text("p50 ≤ 15 sp95 ≤ 20 sp99 ≤ 20 s")


async def test_at_the_end_of_a_gap_the_last_figures_stand_with_their_time(page: Page) -> None:
    await drawn_at_once(page, ["reports"], [BUSY, {}, {}])
    hour = page.get_by_role("slider")
    plot = page.locator("figure", has_text="Time from 202 to end")
    await expect(plot).to_contain_text(re.compile(r"p99 ≤ 20 sat .*12:00:00"))
    await expect(hour).to_have_attribute("aria-valuetext", re.compile(r"Answered in time: 98\.5 %, at .*12:00:00;"))
    await hour.press("End")
    await expect(plot).to_contain_text("p50 -p95 -p99 -")


async def test_a_route_that_never_answers_with_202_has_no_plots_of_operations(page: Page) -> None:
    await drawn_at_once(page, ["shop"], [BUSY] * 2, later=False)
    for title, there in {"Requests": 1, "Operations": 0, "Time from 202 to end": 0, "Failures": 1}.items():
        await expect(page.locator("figure:visible", has_text=title)).to_have_count(there)
    await expect(page.get_by_role("slider")).not_to_have_attribute("aria-valuetext", re.compile("Operations"))


@pytest.mark.parametrize("width", [1280, 900, 375])
async def test_nothing_moves_while_values_are_read(page: Page, width: int) -> None:
    await page.set_viewport_size({"width": width, "height": 800})
    long = {**BUSY, "p50": 75, "p95": 605, "p99": 3599, "failures": {"origin-unreachable": 2, "origin-broke-off": 11}}
    await drawn_at_once(page, ["reports"], [long] * 30 + [{}] * 30)
    card = page.locator(".route-card")
    before = await card.bounding_box()
    await page.get_by_role("slider").press("Home")
    await expect(card).to_contain_text("2 origin-unreachable, 11 origin-broke-off")
    assert await card.bounding_box() == before


async def test_what_is_not_seen_is_drawn_too_and_little_by_little(page: Page) -> None:
    assert 0 < await drawn_at_once(page, MANY, [BUSY] * 360) < LINES * len(MANY) / 2
    await expect(page.locator("path.line[d]")).to_have_count(LINES * len(MANY), timeout=20_000)
    assert await page.evaluate("() => scrollY") == 0


async def test_what_is_printed_is_drawn_before(page: Page) -> None:
    await drawn_at_once(page, MANY, [BUSY] * 360)
    print_all = (
        "() => { dispatchEvent(new Event('beforeprint')); return document.querySelectorAll('path.line[d]').length; }"
    )
    assert await page.evaluate(print_all) == LINES * len(MANY)


@pytest.mark.parametrize("place", [0, 15, 30], ids=["the first", "in between", "the last"])
async def test_what_happened_once_can_be_seen(page: Page, place: int) -> None:
    points: list[dict[str, Any]] = [{} for _ in range(31)]
    points[place] = BUSY
    await drawn_at_once(page, ["reports"], points)
    duration = page.get_by_role("figure").filter(has_text="Duration")
    for line in await duration.locator("path.line").all():
        width, distance = await line.evaluate(
            """(line) => {
                const [{ left, width }, plot] = [line, line.closest(".plot")].map((one) => one.getBoundingClientRect());
                return [width, (left + width / 2 - plot.left) / plot.width];
            }"""
        )
        assert width >= 4, "pixels"
        assert distance == pytest.approx(place / 30, abs=0.01)
