"""Pages written for GitHub, as pages of the site: links to files become links to pages.

The guide lies in docs/; the README and its like are included by a page of their own.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urldefrag

from docs.ext.percent import ROOT, cells

if TYPE_CHECKING:
    from sphinx.application import Sphinx

DOCS = ROOT / "docs"
FENCE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
INCLUDE = re.compile(r"^```\{include\} (\S+)\n```$", re.MULTILINE)
LINK = re.compile(r"\]\(((?!https?://|#)[^)\s]+)\)")
ROW = re.compile(r"^\|(.*?)\| `([\w.]+)` \| (`.*`) \| `([\w.]+)` \|$", re.MULTILINE)
TEST = re.compile(r"`(test_\w+\.py)::test_(\w+)`")
INDEX = "guide/equation-index"
PAGES = {  # a file of the repository ↦ its page; for those in docs/ it is the file itself
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "figures/README.md": "figures.md",
    "tutorials/README.md": "tutorials/index.rst",
    "stn_ref/paper.py": "section3/index.rst",
    "docs/section3_en.md": "section3/index.rst",
    "docs/section3_ar.md": "section3/ar.rst",
}


def page(docname: str) -> str:
    """A page's Markdown for Sphinx, from docs/ and from what it includes."""
    path = DOCS / f"{docname}.md"
    text = path.read_text()
    text = _linked(text) if docname == INDEX else text
    text = followed(TEST.sub(_law, text), path.parent, path.parent)

    def included(match: re.Match[str]) -> str:
        file = (path.parent / match[1]).resolve()
        return followed(file.read_text(), file.parent, path.parent)

    return INCLUDE.sub(included, text)


def followed(text: str, here: Path, there: Path) -> str:
    """The text with its links, made from the folder `here`, as a page in the folder `there`."""

    def link(match: re.Match[str]) -> str:
        target, anchor = urldefrag(match[1])
        file = Path(os.path.normpath(here / target))
        name = file.relative_to(ROOT).as_posix()
        if re.fullmatch(r"tutorials/\w+\.py", name):
            page = f"/tutorials/{file.stem}.rst"
        else:
            page = f"/{PAGES[name]}" if name in PAGES else os.path.relpath(file, there)
        return f"]({page}#{anchor})" if anchor else f"]({page})"

    pieces = FENCE.split(text)
    pieces[::2] = [LINK.sub(link, piece) for piece in pieces[::2]]
    return "".join(pieces)


def _linked(index: str) -> str:
    """The equation index, with links: to a function's page and source, to a figure's tutorial."""
    drawn = {
        name: script.stem
        for script in sorted((ROOT / "tutorials").glob("*.py"))
        for cell in cells(script.read_text())
        for name in cell.pictures
    }

    def row(match: re.Match[str]) -> str:
        said, function, test, figure = match.groups()
        source = "../_modules/stn_ref/equations/{}.html#{}".format(*function.split("."))
        function = (
            f'{{py:obj}}`{function} <stn_ref.equations.{function}>` <a href="{source}">source</a>'
        )
        name = figure.partition(".")[0].replace("_", " ")
        return f"|{said}| {function} | {test} | [{name}](../../tutorials/{drawn[figure]}.py) |"

    return ROW.sub(row, index)


def _law(match: re.Match[str]) -> str:
    """A test's name, which is a sentence, as one, with its file."""
    return f"[{match[2].replace('_', ' ')}](../../tests/{match[1]})"


def _read(app: Sphinx, docname: str, source: list[str]) -> None:
    if (DOCS / f"{docname}.md").exists():
        source[0] = page(docname)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("source-read", _read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
