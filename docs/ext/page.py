"""Section 3 on one page, for the site: what is said beside the code that does it, in two languages.

Made from `stn_ref/paper.py`, a percent script: a row for each cell of prose and the code after it,
functions first and what settles them below. The Arabic prose, docs/section3_ar.md, has the same
cells, and takes code and equations from there: where it says `$$ $$`, the next equation stands.
"""

from __future__ import annotations

import ast
import re
from textwrap import indent

from docs.ext.percent import ROOT, cells, rst

PAGE, ARABIC = ROOT / "stn_ref" / "paper.py", ROOT / "docs" / "section3_ar.md"
HEADING = re.compile(r"^(#+) (.*)$", re.MULTILINE)
EQUATION = re.compile(r"\$\$.+?\$\$", re.DOTALL)
# one for each cell, in the paper's order; that of Eq. 5 is within the cell of Eq. 4
ANCHORS = (
    *("letters", "localisation", "grid", "eq-1", "eq-2", "projective", "basis", "mesh", "spline"),
    *("pixels", "eq-3", "eq-4", "eq-6", "eq-7", "kernel-parameters", "module"),
)
OTHER = {"en": ("ar", "العربية"), "ar": ("index", "English")}


def pages() -> dict[str, str]:
    """Path in the site's source ↦ text."""
    both = cells(PAGE.read_text())
    prose, code = [cell.text for cell in both[::2]], [cell.text for cell in both[1::2]]
    arabic = ARABIC.read_text().split("\n---\n")
    said = [with_equations(ar, en) for ar, en in zip(arabic, prose, strict=True)]
    return {
        "section3/index.rst": page(prose, code, "en"),
        "section3/ar.rst": ":orphan:\n" + page(said, code, "ar"),
    }


def with_equations(arabic: str, english: str) -> str:
    """The Arabic cell, with the equations of the English one in their places."""
    equations = EQUATION.findall(english)
    assert arabic.count("$$ $$") == len(equations), f"{len(equations)} equations: {english[:80]}"
    for equation in equations:
        arabic = arabic.replace("$$ $$", equation, 1)
    return arabic


def page(prose: list[str], code: list[str], language: str) -> str:
    """One language's page, in reStructuredText; site.css lays out a `.step`."""
    written = [":hide-toc:", ""]
    there, name = OTHER[language]
    for said, done, anchor in zip(prose, code, ANCHORS, strict=True):
        headings, said = HEADING.findall(said), HEADING.sub("", said).strip()
        for marks, title in headings:
            written += [rst(f"{marks} {title}"), ""]
        kind = "step opening" if anchor == ANCHORS[0] else "step"
        ids = [anchor, *["eq-5"] * (anchor == "eq-4")]
        spans = "".join(f'<span id="{i}"></span>' for i in ids)
        switch = f'{spans}<a class="switch" href="{there}.html#{anchor}">{name}</a>'
        written += [f".. container:: {kind}", ""]
        first = f".. raw:: html\n\n   {switch}\n\n"
        written += [box(f"said {language}", first + rst(said)), box("done", blocks(*parts(done)))]
    return "\n".join(written)


def parts(code: str) -> tuple[str, str]:
    """The functions of a cell, and all else."""
    lines, functions = code.splitlines(), []
    kept = [True] * len(lines)
    for node in ast.parse(code).body:
        if isinstance(node, ast.FunctionDef):
            functions.append("\n".join(lines[node.lineno - 1 : node.end_lineno]))
            kept[node.lineno - 1 : node.end_lineno] = [False] * (node.end_lineno - node.lineno + 1)
    rest = "\n".join(line for line, keep in zip(lines, kept, strict=True) if keep)
    return "\n\n".join(functions), re.sub(r"\n{2,}", "\n", rest).strip("\n")


def blocks(functions: str, settled: str) -> str:
    """Both as code, the second in a class of its own."""
    return "\n".join(
        f".. code-block:: python\n   :class: {name}\n\n{indent(code, '   ')}\n"
        for name, code in (("equations", functions), ("settled", settled))
        if code
    )


def box(name: str, text: str) -> str:
    """A container in a step."""
    return indent(f".. container:: {name}\n\n{indent(text, '   ')}\n", "   ")
