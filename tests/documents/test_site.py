"""The documentation as a site: it is built without a warning, fetches nothing from elsewhere, and has every page in its menu.

That every link and anchor of its pages leads somewhere is what the strict build checks, and test_documents for the rest.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
import yaml
from playwright.async_api import async_playwright

from reference.outside import PAGES as OUTSIDE
from reference.outside import with_links_of_the_site
from tests.documents.blocks import ROOT

FETCHED: Final = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?([^"'\s>]+)|<link\b[^>]*\bhref=["']?([^"'\s>]+)"""
)
FETCHED_BY_STYLE: Final = re.compile(r"""(?:@import\s+|url\()["']?(?!data:)([^"')]+)""")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder


def test_it_is_built_without_a_warning(site: Path) -> None:
    assert (site / "index.html").exists()


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    pages = [
        found for file in site.rglob("*.html") for pair in FETCHED.findall(file.read_text()) for found in pair if found
    ]
    styles = [found for file in site.rglob("*.css") for found in FETCHED_BY_STYLE.findall(file.read_text())]
    assert pages
    assert [found for found in [*pages, *styles] if re.match(r"(https?:)?//", found)] == []


async def test_it_can_be_searched_from_the_disk(site: Path) -> None:
    if not (chromium := shutil.which("chromium")):
        pytest.skip("there is no chromium on this machine")
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        page = await browser.new_page()
        await page.goto((site / "how-to" / "why.html").as_uri())
        await page.click(".md-search__input")
        await page.keyboard.type("min_upload_rate")
        await page.wait_for_selector(".md-search-result__link[href*='http.html']")
        await browser.close()


def test_every_page_is_in_the_menu() -> None:
    menu = re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    of_the_site = [str(page.relative_to(ROOT / "docs")) for page in ROOT.glob("docs/**/*.md")]
    assert sorted(menu) == sorted([*of_the_site, *OUTSIDE.values()])


@pytest.mark.parametrize(
    ("page", "link", "of_the_site"),
    [
        pytest.param("http.md", "[a](operations.md#x)", "[a](operations.md#x)", id="to another page"),
        pytest.param("http.md", "[a](https://example.com/b.md)", "[a](https://example.com/b.md)", id="to elsewhere"),
        pytest.param("http.md", "[a](../deploy/README.md#x)", "[a](deploy.md#x)", id="to a page from outside"),
        pytest.param("how-to/why.md", "[a](../../deploy/README.md)", "[a](../deploy.md)", id="from a folder"),
        pytest.param("deploy.md", "[a](../docs/operations.md)", "[a](operations.md)", id="from outside"),
        pytest.param("deploy.md", "[a](front/README.md)", "[a](front.md)", id="between two from outside"),
        pytest.param("front.md", "[a](b.conf)", "a (`deploy/front/b.conf`)", id="to a file without a page"),
        pytest.param("front.md", "[b.conf](nginx/b.conf)", "`deploy/front/nginx/b.conf`", id="named by its file"),
        pytest.param("http.md", "[`bench/a.py`](../bench/a.py)", "`bench/a.py`", id="named already"),
    ],
)
def test_links_lead_to_where_the_site_has_what_they_mean(page: str, link: str, of_the_site: str) -> None:
    assert with_links_of_the_site(link, page) == of_the_site


def test_make_docs_builds_into_a_folder_that_git_ignores() -> None:
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert settings.get("site_dir", "site") == "site"
    assert "/site/" in (ROOT / ".gitignore").read_text().split()


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/**/*.md")), ids=lambda page: page.name)
def test_files_that_are_named_exist(page: Path) -> None:
    """Those of the repository: a link to them would lead out of the site."""
    named = re.findall(r"`((?:bench|config|deploy|proxy|tests)/[\w./-]*\w)`", page.read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []
