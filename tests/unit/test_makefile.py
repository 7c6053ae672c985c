"""What `make` would run, without running it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.process.child import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")

OURS = {
    name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))
}  # not of `make test`


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """That of `make`, in which nothing is installed."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pip").touch()
    return tmp_path


def make(environment: Path, *arguments: str) -> list[str]:
    command = ["make", "--dry-run", f"VENV={environment}", "PORT=8080", *arguments]
    return subprocess.run(command, cwd=ROOT, env=OURS, text=True, capture_output=True, check=True).stdout.splitlines()


def test_a_configuration_may_be_in_a_folder_with_spaces(environment: Path) -> None:
    served = make(environment, "serve", "CONFIG=/a folder/ü ✓.yaml")[-1]
    assert served == f'{environment}/bin/respond-async serve --config "/a folder/ü ✓.yaml"'


@pytest.mark.parametrize("kind", ["run", "dev"])
def test_what_is_installed_for_development_runs_as_well(environment: Path, kind: str) -> None:
    assert len(make(environment, "run")) > 1, "nothing is installed yet"
    (environment / f"{kind}.stamp").touch()
    assert make(environment, "run") == [f"{environment}/bin/respond-async demo --port 8080"]
