"""Section 3 on one page, for the site: what is said beside the code that does it.

Made from `stn_ref/paper.py`, a percent script: a row for each cell of prose and the code after it,
functions first and what settles them below.
"""

from __future__ import annotations

import ast
import re
from textwrap import indent

from docs.ext.percent import ROOT, cells, rst

PAGE = ROOT / "stn_ref" / "paper.py"
HEADING = re.compile(r"^(#+) (.*)$", re.MULTILINE)


def page() -> str:
    """In reStructuredText; site.css lays out a `.step`."""
    written = [":hide-toc:", ""]
    both = cells(PAGE.read_text())
    for prose, code in zip(both[::2], both[1::2], strict=True):
        headings, said = HEADING.findall(prose.text), HEADING.sub("", prose.text).strip()
        for marks, title in headings:
            written += [rst(f"{marks} {title}"), ""]
        functions, settled = parts(code.text)
        kind = "step opening" if prose is both[0] else "step"
        written += [*(f".. _{name}:\n" for name in anchors(said)), f".. container:: {kind}", ""]
        written += [box("said", rst(said)), box("done", blocks(functions, settled)), ""]
    return "\n".join(written)


def anchors(said: str) -> list[str]:
    """eq-3 for what begins with **Eq. 3.**"""
    return [f"eq-{n}" for n in re.findall(r"\*\*Eq\. (\d)", said)]


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
