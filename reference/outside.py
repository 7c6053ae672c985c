"""What the site has of the repository outside of `docs/`; a hook of mkdocs.

Pages link to files of the repository, as those who read them there expect. The site has some of these files as pages of
its own; of all others it tells the name.
"""

import posixpath
import re
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = {  # of the repository, and where they are in the site
    "deploy/README.md": "deploy.md",
    "deploy/front/README.md": "front.md",
}

_LINK: Final = re.compile(r"\[(?P<text>[^]]+)\]\((?P<target>[^)\s#]+)(?P<anchor>#[^)\s]*)?\)")
_SITE: Final = "docs/"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages from elsewhere."""
    for source, place in PAGES.items():
        files.append(File.generated(config, place, content=(ROOT / source).read_text()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - mkdocs calls it so
    """Has links of a page lead to where the site has what they mean."""
    return with_links_of_the_site(markdown, page.file.src_uri)


def with_links_of_the_site(markdown: str, page: str) -> str:
    """The text of a page of the site, with links that the site can follow."""
    source = next((source for source, place in PAGES.items() if place == page), _SITE + page)
    return _LINK.sub(lambda link: _link(link, source, page), markdown)


def _link(link: re.Match[str], source: str, page: str) -> str:
    if "://" in link["target"]:
        return link[0]
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link["target"]))
    place = PAGES.get(target) or target.removeprefix(_SITE)
    if place == target:
        return f"`{target}`" if target.endswith(link["text"].strip("`")) else f"{link['text']} (`{target}`)"
    return f"[{link['text']}]({posixpath.relpath(place, posixpath.dirname(page) or '.')}{link['anchor'] or ''})"
