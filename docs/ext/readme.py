"""The README, the changelog and CONTRIBUTING as pages of the site: what they say is said once.

Each section of the README is a page, in its order. Links follow: to a figure, to the page that a
tutorial or a section has become, to a file.
"""

from __future__ import annotations

import re
from pathlib import Path

from docs.ext.percent import cells

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\(((?!https?://)[^)\s]+)\)")
FENCE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
FRONT = ("The paper in pictures",)  # what the first page shows of it, after its opening
INDEX = "The equation index"


def slug(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def sections(readme: str) -> dict[str, str]:
    """What stands under each heading of the second level; what comes first is under ""."""
    opening, *rest = re.split(r"^## (.*)\n", readme.split("\n", 1)[1], flags=re.MULTILINE)
    return {"": opening, **dict(zip(rest[::2], rest[1::2], strict=True))}


def pages() -> dict[str, str]:
    """Path in the site's source ↦ text: a guide of the README's sections, and the first page's."""
    parts = sections((ROOT / "README.md").read_text())
    home = {slug(heading): f"/guide/{slug(heading)}.md" for heading in parts if heading}
    home |= {slug(heading): f"/index.md#{slug(heading)}" for heading in FRONT}
    home |= {"CONTRIBUTING.md": "/guide/contributing.md"}

    def followed(text: str, depth: int) -> str:
        up = "../" * depth

        def link(match: re.Match[str]) -> str:
            target = match[1].lstrip("#")
            if target in home:
                return f"]({home[target]})"
            if target.startswith("tutorials/"):
                return (
                    f"](/tutorials/{Path(target).stem if target.endswith('.py') else 'index'}.rst)"
                )
            return f"]({up}{target})"

        pieces = FENCE.split(text)
        pieces[::2] = [LINK.sub(link, piece) for piece in pieces[::2]]
        return "".join(pieces)

    written = {"guide/opening.txt": followed(parts.pop(""), 1)}
    for heading in FRONT:
        written[f"guide/{slug(heading)}.txt"] = followed(parts.pop(heading), 1)
    for heading, text in parts.items():
        text = followed(text.replace("\n### ", "\n## "), 2)
        text = _linked(text) if heading == INDEX else text
        written[f"guide/{slug(heading)}.md"] = f"# {heading}\n{text}"
    names = "\n".join(slug(heading) for heading in parts)
    written["guide/index.md"] = f"# Guide\n\n```{{toctree}}\n:maxdepth: 2\n\n{names}\n```\n"
    for name in ("CHANGELOG", "CONTRIBUTING"):
        written[f"guide/{name.lower()}.md"] = followed((ROOT / f"{name}.md").read_text(), 2)
    return written


def _linked(index: str) -> str:
    """The equation index, each function linked to its page, each figure to its tutorial's."""
    drawn = {
        name: script.stem
        for script in sorted((ROOT / "tutorials").glob("*.py"))
        for cell in cells(script.read_text())
        for name in cell.pictures
    }

    def row(match: re.Match[str]) -> str:
        function, test, figure = match.groups()
        function = f"{{py:obj}}`{function} <stn_ref.equations.{function}>`"
        page = f"/tutorials/{drawn[figure]}.rst" if figure in drawn else f"../../figures/{figure}"
        return f"| {function} | `{test}` | [{figure}]({page}) |"

    cell = r" `([^`]+)` \|"
    return re.sub(rf"\|{cell}{cell}{cell}$", row, index, flags=re.MULTILINE)
