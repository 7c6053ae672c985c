"""The results of a run as they are kept: what was measured, on what, and what that means."""

import json
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from bench.rounds import Rounds

FILE: Final = Path(__file__).parent / "results.json"


class Results(NamedTuple):
    """One run."""

    machine: dict[str, str]
    effort: dict[str, int]
    cases: dict[str, Rounds]

    def write(self, file: Path) -> None:
        file.write_text(json.dumps(_rounded(self._asdict()), indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def read(cls, file: Path) -> Self:
        return cls(**json.loads(file.read_text()))


def _rounded(value: Any) -> Any:  # noqa: ANN401  # what JSON can hold
    """With six digits that count: more say nothing."""
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
