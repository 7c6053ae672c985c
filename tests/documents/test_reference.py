"""What is generated of the documentation is what the product says today."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from proxy.cli import main
from reference.commands import commands
from reference.configuration import sections
from reference.pages import pages
from reference.places import Misplaced, anchor, filled, headings, table

PAGE = """# Names
<!-- generated: names -->
as it was
<!-- generated: to here -->
and what stands around it.
"""
EXAMPLES = sorted(set(re.findall(r"^ +(respond-async .*)$", commands("")["commands"], re.MULTILINE)))


@pytest.mark.parametrize(("file", "page"), [pytest.param(*each, id=each[0].name) for each in pages()])
def test_generated_pages_are_up_to_date(file: Path, page: str) -> None:
    assert file.read_text() == page, "run `make reference`"


def test_what_is_around_a_generated_place_stays() -> None:
    page = filled(PAGE, {"names": "as it is\n"})
    assert "as it was" not in page
    assert page.startswith("# Names\n")
    assert page.endswith("and what stands around it.\n")
    assert filled(page, {"names": "as it is\n"}) == page


@pytest.mark.parametrize("contents", [{}, {"names": "", "sizes": ""}], ids=["place without content", "without place"])
def test_content_and_place_belong_together(contents: dict[str, str]) -> None:
    with pytest.raises(Misplaced, match=max(contents, default="names")):
        filled(PAGE, contents)


def test_a_place_is_linked_to_by_the_heading_above_it() -> None:
    assert headings("# First\n" + PAGE) == {"names": "Names"}
    assert anchor("`routes[].match`, the *rest*") == "routesmatch-the-rest"


def test_a_bar_does_not_end_a_cell() -> None:
    assert table(["a"], [["x|y"]]) == "| a |\n| --- |\n| x\\|y |\n"


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_of_the_help_name_commands_and_options_that_there_are(example: str) -> None:
    """With `--help` behind it, nothing is done, but all that goes before is read."""
    _, *arguments = shlex.split(example.partition(" > ")[0])
    result = CliRunner().invoke(main, [*arguments, "--help"])
    assert result.exit_code == 0, result.output


def test_a_key_is_told_with_its_value_its_default_and_its_text() -> None:
    told = sections("")
    assert "| `max_size` | size | `10GiB` | Of results," in told["StoreSettings"]
    assert "| `url` | URL or list of URLs | required |" in told["OriginSettings"]
    assert "| `owner` | `authorization` or `none` | `authorization` |" in told["RespondAsync"]
    assert "| `trusted_proxies` | list of networks | none |" in told["Config"]
    assert "| `lenient` | flag | `false` |" in told["OriginSettings"]
