"""The house's docstrings, plain text with aligned tables, laid out by numpydoc.

    name  (B, H, W)  what it is      → Parameters
    Returns …                        → Returns
    Raises …                         → Raises
    >>> …                            → Examples

Equations, indented, become TeX. What comes between or after these goes to the Notes.
"""

from __future__ import annotations

import re
from itertools import groupby
from textwrap import dedent, indent

from docs.ext import tex
from docs.ext.tex import LABEL
from stn_ref.equations import Kernel, Transformation

NAME = r"\*{0,2}\w+(?:\([^)]*\))?"
ROW = re.compile(rf"({NAME}(?:, {NAME})*)\s{{2,}}(?!Eq\.|§)(\S.*)")
SHAPE = re.compile(r"(\([^()]*(?:\(\)[^()]*)*\)|\S.*?(?=\s{2}))(?:\s{2,}(\S.*))?")
IDENTIFIER = re.compile(r"[A-Za-z_][\w.]*")
SECTIONS = ("Parameters", "Returns", "Raises", "Notes", "Examples")


def as_numpydoc(lines: list[str]) -> list[str]:
    """A docstring, line by line, in numpydoc's sections."""
    text: dict[str, list[str]] = {name: [] for name in ("", *SECTIONS)}
    where = ""
    for line in lines:
        word, _, rest = line.partition(" ")
        if where == "Examples" or word == ">>>":
            where = "Examples"
        elif word in ("Returns", "Raises") and rest:
            where, line = word, rest
        elif ROW.fullmatch(line):
            where = "Parameters"
        elif where == "Parameters" and not line.startswith(" ") or where and not line:
            where = "Notes"
        text[where].append(line)
    layout = {"": _prose, "Parameters": _rows, "Returns": _one, "Raises": _one, "Notes": _prose}
    written: list[str] = []
    for name, found in text.items():
        if any(found):
            written += [name, "-" * len(name)] if name else []
            written += [*layout.get(name, list)(found), ""]
    return written


def _prose(lines: list[str]) -> list[str]:
    """Paragraphs; what is indented, or has columns, as it stands."""
    written: list[str] = []
    for blank, group in groupby(lines, lambda line: not line.strip()):
        paragraph = list(group)
        if blank:
            continue
        if all(re.match(" {4}", line) or "  " in LABEL.sub("", line) for line in paragraph):
            text = dedent("\n".join(paragraph))
            formula = tex.block(text.splitlines())
            kind = (
                [".. code-block:: text", "   :class: equation"]
                if formula is None
                else [".. math::"]
            )
            written += [*kind, "", *indent(formula or text, "   ").splitlines(), ""]
        else:
            text = "\n".join(line.strip() for line in paragraph)
            written += [*_marked(text).splitlines(), ""]
    return written


def _rows(lines: list[str]) -> list[str]:
    written: list[str] = []
    for line in lines:
        if row := ROW.fullmatch(line):
            name, rest = row.groups()
            shape = SHAPE.fullmatch(rest)
            written.append(f"{name} : {_marked(shape[1])}" if shape else name)
            written.append(f"    {_marked((shape[2] or '') if shape else rest)}")
        else:
            written.append(f"    {_marked(line.strip())}")
    return written


def _one(lines: list[str]) -> list[str]:
    return [_marked(" ".join(line.strip() for line in lines))]


def _marked(text: str) -> str:
    """Prose with its code and names marked up, and nothing else taken for markup."""
    text = re.sub(LABEL.pattern, r" (\1)", text, flags=re.MULTILINE)
    pieces = re.split(r"(`[^`]+`)(?=(\w?))", text)
    plain, code, after = pieces[::3], pieces[1::3], [bool(letter) for letter in pieces[2::3]]
    written = re.sub(r"([\\*|_])", r"\\\1", plain[0])
    for name, glued, following in zip(code, after, plain[1:], strict=True):
        is_name = IDENTIFIER.fullmatch(name.strip("`"))
        written += f":py:obj:{name}" if is_name else f"`{name}`"
        written += ("\\ " if glued else "") + re.sub(r"([\\*|_])", r"\\\1", following)
    return written


def described(value: object) -> list[str] | None:
    """What to say of a constant, from what it holds."""
    if isinstance(value, Transformation):
        shape = ", ".join(map(str, ("B", *value.identity().shape)))
        return [f"The :py:obj:`Transformation` “{value.name}”, θ ({shape})."]
    if isinstance(value, Kernel):
        return [f"The :py:obj:`Kernel` “{value.name}”, of half-width {value.support:g}."]
    if isinstance(value, tuple | dict) and value and all(isinstance(x, str) for x in value):
        return ["By name: " + ", ".join(f"``{name}``" for name in value) + "."]
    return None
