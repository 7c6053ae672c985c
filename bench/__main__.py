"""`python -m bench`: measures, prints, and, if it was all of it, writes the results and what is shown of them."""

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import click

from bench.cases import CASES
from bench.document import figures_table, goals_table, publish
from bench.machine import all_cores, description, how_to_install, missing, on
from bench.results import FILE, Results
from bench.rounds import FULL, QUICK, Bench, Effort, Rounds
from bench.running import CannotMeasure


@click.command()
@click.option("--quick", is_flag=True, help="Smaller and shorter: to see that it works.")
@click.option("--only", default="", help=f"Some of: {' '.join(CASES)}.")
@click.option(
    "--document", is_flag=True, help="Measure nothing: write the document and the plots from the last results."
)
@click.option("--output", type=click.Path(path_type=Path), help="Where the results go, if not all is measured.")
def main(quick: bool, only: str, document: bool, output: Path | None) -> None:  # noqa: FBT001  # click's way
    """Measure the proxy beside others."""
    if document:
        publish(Results.read(FILE))
        return
    chosen = only.split() or list(CASES)
    if unknown := set(chosen) - set(CASES):
        raise click.UsageError(f"no such case: {' '.join(sorted(unknown))}; there are {' '.join(CASES)}")
    effort = QUICK if quick else FULL
    _say_what_is_missing()
    cases = measured(chosen, effort)
    results = Results(description(), effort._asdict(), cases)
    click.echo(goals_table(results))
    if output is not None:
        results.write(output)
    elif not quick and set(cases) == set(CASES):
        results.write(FILE)
        publish(Results.read(FILE))


def measured(chosen: Iterable[str], effort: Effort) -> dict[str, Rounds]:
    """The figures of the cases, as far as they can be had here; printed as they come."""
    cores, cases = all_cores(), {}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, on(cores.load):
        for name in chosen:
            if lacking := missing(CASES[name].needs):
                click.echo(f"{name}: skipped without {' '.join(lacking)}", err=True)
                continue
            click.echo(f"## {name}\n")
            try:
                cases[name] = CASES[name].measure(Bench(effort, cores, Path(folder)))
            except CannotMeasure as exc:
                click.echo(f"{name}: {exc}", err=True)
                continue
            click.echo(figures_table(cases[name]))
    return cases


def _say_what_is_missing() -> None:
    if lacking := missing(("nginx", "haproxy", "wrk")):
        click.echo(f"Not here: {' '.join(lacking)}. To measure with them: {how_to_install(lacking)}", err=True)


if __name__ == "__main__":
    sys.exit(main())
