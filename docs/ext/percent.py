"""The tutorials, percent scripts with Markdown cells, as pages of the gallery and as notebooks.

Sphinx-Gallery wants its prose in reStructuredText and the first of it in a docstring; a notebook
wants Markdown, as the scripts have it. Both are made here from the same cells.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from textwrap import indent
from typing import NamedTuple

MARKER = re.compile(r"^# %%(.*)\n", re.MULTILINE)
PICTURE = re.compile(r'\bout / "([\w.]+\.(?:png|gif))"')  # what a cell writes
ROOT = Path(__file__).parents[2]
FIGURES = "figures"  # the directory that gallery and notebook have it write to
# both run it where there is no file: what it finds from its own place, it finds from here
HIDDEN = """\
# sphinx_gallery_start_ignore
__file__ = {0!r}
# sphinx_gallery_end_ignore
"""
SUMMARY = "<details><summary>Solution</summary>"
FOLDED = f".. raw:: html\n\n   {SUMMARY}\n\n{{0}}\n\n.. raw:: html\n\n   </details>"
CARD = re.compile(  # a row of tutorials/README.md
    r"^\| \[<img src=\"../figures/([\w.]+)\" .+ \| \*\*(\d+)\*\* \| \[(.+)\]\((.+)\): (.+) \|$",
    re.MULTILINE,
)
FIRST = """\
import sys

import stn_ref

sys.argv[1:] = ["{0}"]  # where the pictures go
__file__ = f"{{stn_ref.__path__[0]}}/../tutorials/{1}"  # what this notebook is made from"""


class Cell(NamedTuple):
    """A cell of a script: Markdown, without its comment signs, or code; folded, a solution."""

    is_prose: bool
    text: str
    folded: bool = False

    @property
    def pictures(self) -> list[str]:
        """The names of the pictures that its code writes, in order."""
        return [] if self.is_prose else list(dict.fromkeys(PICTURE.findall(self.text)))


def cells(script: str) -> list[Cell]:
    """The cells of a percent script; what comes before the first marker is none."""
    _, *parts = MARKER.split(script)
    found = []
    for kind, text in zip(parts[::2], parts[1::2], strict=True):
        is_prose = "[markdown]" in kind
        text = re.sub("^# ?", "", text, flags=re.MULTILINE) if is_prose else text
        found.append(Cell(is_prose, text.strip("\n"), "solution" in kind))
    return found


def gallery_script(path: Path, figures: str) -> str:
    """A script as Sphinx-Gallery reads it, each picture after the code that makes it.

    figures  where the pictures are, from the root of the site's source
    """
    opening, *rest = cells(path.read_text())
    lines = [f'r"""\n{rst(opening.text)}\n"""\n', HIDDEN.format(str(path))]
    for cell in rest:
        text = FOLDED.format(rst(cell.text)) if cell.folded else rst(cell.text)
        lines.append(_comment(text) if cell.is_prose else cell.text + "\n")
        if cell.pictures:
            shown = (_image(f"/{figures}/{name}") for name in cell.pictures)
            lines.append(_comment("\n\n".join(shown)))
    return "\n".join(lines)


@cache
def alts() -> dict[str, str]:
    """Picture ↦ what it shows, in the words of figures/README.md."""
    shown = re.findall(r"^!\[(.+)\]\((.+)\)$", (ROOT / "figures" / "README.md").read_text(), re.M)
    return {name: alt for alt, name in shown}


def _image(path: str, *options: str) -> str:
    alt = alts()[path.rpartition("/")[2]]
    return "\n   ".join([f".. image:: {path}", f":alt: {alt}", *options])


def gallery(figures: str) -> str:
    """The tutorials' table of contents, tutorials/README.md, as a page of cards.

    figures  where the pictures are, from the root of the site's source
    """
    text = (ROOT / "tutorials" / "README.md").read_text()
    cards, names = [], []
    for picture, number, title, script, about in CARD.findall(text):
        stem = Path(script).stem
        names.append(f"   {number}. {title} <{stem}>")
        image = _image(f"/{figures}/{picture}", f":target: {stem}.html")
        said = f"**{number}** :doc:`{title} <{stem}>`: {inline(about)}"
        cards += [".. container:: card", indent(f"{image}\n\n{said}", "   ")]
    opening = rst(text[: text.index("| |")])
    toctree = ".. toctree::\n   :hidden:\n\n" + "\n".join(names)
    return "\n\n".join(
        [opening, toctree, ".. container:: cards", indent("\n\n".join(cards), "   ")]
    )


def _comment(text: str) -> str:
    return "# %%\n" + "".join(f"# {line}".rstrip() + "\n" for line in text.splitlines())


def notebook(path: Path) -> str:
    """A script as a Jupyter notebook, which shows the pictures that it writes."""
    written: list[dict[str, object]] = []
    for k, cell in enumerate(cells(path.read_text())):
        if cell.is_prose:
            text = f"{SUMMARY}\n\n{cell.text}\n\n</details>" if cell.folded else cell.text
            written.append({"cell_type": "markdown", "metadata": {}, "source": text})
            written += [_code(FIRST.format(FIGURES, path.name))] * (k == 0)
            continue
        show = [f'display(Image("{FIGURES}/{name}"))' for name in cell.pictures]
        show = ["", "from IPython.display import Image, display", "", *show] if show else []
        written.append(_code("\n".join([cell.text, *show])))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    whole = {"cells": written, "metadata": metadata, "nbformat": 4, "nbformat_minor": 4}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _code(source: str) -> dict[str, object]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {},
        "outputs": [],
        "source": source,
    }


# Markdown to reStructuredText, as much of it as the tutorials use

INLINE = re.compile(
    r"(?P<code>`+)(?P<literal>.+?)(?P=code)"
    r"|(?<!\\)\$(?P<math>[^$]+)\$"
    r"|\[(?P<text>[^\]]+)\]\((?P<link>[^)\s]+)\)",
    re.DOTALL,
)
BOLD = re.compile(r"\*\*([^*]*\$[^*]*)\*\*")
UNDERLINES = "=-~"


def rst(markdown: str) -> str:
    """Headings, paragraphs, lists, tables, fences, pictures and formulas, in reStructuredText."""
    return "\n".join(_blocks(iter(markdown.splitlines()))).strip("\n")


def _blocks(lines: Iterator[str]) -> Iterator[str]:
    paragraph: list[str] = []

    def end() -> Iterator[str]:
        if paragraph:
            yield from (inline("\n".join(paragraph)), "")
            paragraph.clear()

    for line in lines:
        text, indent = line.strip(), line[: len(line) - len(line.lstrip())]
        if text.startswith("```"):
            yield from end()
            block = _until("```", lines)
            yield from _directive(f"code-block:: {text[3:] or 'text'}", block, indent)
        elif text.startswith("$$"):
            yield from end()
            block = [text[2:]] if len(text) > 2 else []
            if not text.endswith("$$") or text == "$$":
                block += _until("$$", lines)
            block[-1] = block[-1].removesuffix("$$")
            yield from _directive("math::", block, indent)
        elif text.startswith("|"):
            yield from end()
            rows = [text, *_until("", lines)]
            yield from _table([_row(row) for row in rows])
        elif heading := re.fullmatch(r"(#+) (.*)", line):
            yield from end()
            title = inline(heading[2])
            yield from (title, UNDERLINES[len(heading[1]) - 1] * len(title), "")
        elif picture := re.fullmatch(r'!\[(.*)\]\((\S+)(?: "(.*)")?\)', text):
            yield from end()
            alt, path, caption = picture.groups()
            kind, below = ("figure", [f"   {inline(caption)}", ""]) if caption else ("image", [])
            yield from (f".. {kind}:: {path}", f"   :alt: {alt}", "", *below)
        elif not text:
            yield from end()
        else:
            if re.match(r"([*+-]|\d+\.) ", text):
                yield from end()
            paragraph.append(line)
    yield from end()


def _until(stop: str, lines: Iterator[str]) -> list[str]:
    """The lines up to one that ends so; a line of nothing but that is left out."""
    taken = []
    for line in lines:
        last = line.rstrip().endswith(stop) if stop else not line.strip()
        if not last or line.strip() != stop:
            taken.append(line)
        if last:
            break
    return taken


def _directive(name: str, block: list[str], indent: str) -> Iterator[str]:
    yield from (f"{indent}.. {name}", "")
    yield from (f"{indent}   {line.removeprefix(indent)}".rstrip() for line in block)
    yield ""


def _row(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def _table(rows: list[list[str]]) -> Iterator[str]:
    yield from (".. list-table::", "   :header-rows: 1", "")
    for row in [rows[0], *rows[2:]]:  # the second is the rule
        for k, cell in enumerate(row):
            yield f"   {' ' if k else '*'} - {inline(cell)}"
    yield ""


def inline(markdown: str) -> str:
    """Code, formulas and links of a paragraph; emphasis is written alike in both."""
    markdown = BOLD.sub(_without_formulas, markdown)
    pieces, at = [], 0
    for match in INLINE.finditer(markdown):
        before, after = markdown[at : match.start()], markdown[match.end() : match.end() + 1]
        pieces.append(_plain(before))
        # a role must stand alone, or be told that it does
        glued = ["\\ " * (c.isalnum() or c == "*") for c in (before[-1:], after)]
        pieces.append(glued[0] + _role(match) + glued[1])
        at = match.end()
    return "".join(pieces) + _plain(markdown[at:])


def _without_formulas(match: re.Match[str]) -> str:
    """What is bold, but for its formulas: there is no role within emphasis."""
    parts = re.split(r"(\s*\$[^$]+\$\s*)", match[1])
    return "".join(part if "$" in part else f"**{part}**" for part in parts if part)


def _plain(text: str) -> str:
    return re.sub(r"([\\|_`])", r"\\\1", text)


def _role(match: re.Match[str]) -> str:
    if match["literal"]:
        return f"``{match['literal'].strip()}``"
    if match["math"]:
        return f":math:`{match['math']}`"
    text, link = _plain(match["text"]), match["link"]
    if re.fullmatch(r"[\w/.]+\.py", link):  # another tutorial
        return f":doc:`{text} <{Path(link).stem}>`"
    return f"`{text} <{link}>`__"
