"""Formulas as MathML, which browsers draw themselves: no script, no font, no network."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

# in a group of its own, or what stands below the letter would be set beneath it, as of a sum
ACCENT = re.compile(r"(\\(?:dot|hat|tilde) ?(?:\{[^{}]*\}|\\[a-z]+|\w))")


def _mathml(writer: Any, node: nodes.Element, tex: str, block: bool) -> str:
    tex = ACCENT.sub(r"{\1{}}", tex.strip())
    try:
        # \\ and & mean something only within an environment
        loose = block and re.search(r"\\\\|&", tex) and r"\begin" not in tex
        tex = rf"\begin{{aligned}}{tex}\end{{aligned}}" if loose else tex
        # bars are around something: a browser would space them as an operator; log it would not
        found = str(tex2mathml(tex, block)).replace('">|<', '" lspace="0" rspace="0">|<')
        return re.sub(
            "<mi>(log|cos|sin)</mi>", r'<mo lspace="0.15em" rspace="0.15em">\1</mo>', found
        )
    except Exception as error:  # a formula that it cannot read, and -W stops the build
        logging.getLogger(__name__).warning("formula %r: %s", tex, error, location=node)
        return str(writer.encode(tex))


def pieces(tex: str) -> list[str]:
    r"""A formula, split at each \quad that is in no group: lines break only between formulas."""
    found, depth = [""], 0
    for token in re.split(r"(\\begin|\\end|\\q?quad|\\?[{}])", tex):
        depth += {"{": 1, "}": -1, r"\begin": 1, r"\end": -1}.get(token, 0)
        if depth == 0 and token in (r"\quad", r"\qquad"):
            found.append("")
        else:
            found[-1] += token
    return found


def _inline(writer: Any, node: nodes.Element) -> None:
    writer.body.append(_mathml(writer, node, node.astext(), False))
    raise nodes.SkipNode


def _displayed(writer: Any, node: nodes.Element) -> None:
    formulas = "\n".join(_mathml(writer, node, tex, True) for tex in pieces(node.astext()))
    writer.body.append(f'<div class="math">{formulas}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (_inline, None), (_displayed, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
