"""Section 3 on one page, for the site: what is said beside the code that does it, in two languages.

Made from `stn_ref/paper.py`, a percent script: a row for each cell of prose and the code after it,
functions first and what settles them below. docs/section3_en.md adds a picture to each cell, and
what the print leaves open or gets wrong. docs/section3_ar.md has the same cells with all of that;
code and equations it takes from the script: where it says `$$ $$`, the next equation stands. The
first picture moves where scripts run (docs/static/play.js), in the words of docs/section3.json.
"""

from __future__ import annotations

import ast
import json
import re
from textwrap import indent

from docs.ext.percent import ROOT, cells, rst
from stn_ref.plots.examples import a_digit

PAGE = ROOT / "stn_ref" / "paper.py"
ADDED, ARABIC, WORDS = (
    ROOT / "docs" / f for f in ("section3_en.md", "section3_ar.md", "section3.json")
)
HEADING = re.compile(r"^(#+) (.*)$", re.MULTILINE)
PICTURE = re.compile(r"^(!\[.*\))$", re.MULTILINE)
EQUATION = re.compile(r"\$\$.+?\$\$", re.DOTALL)
# an anchor for each cell, in the paper's order (that of Eq. 5 is within the cell of Eq. 4), and
# where the library has it, in stn_ref.equations
STEPS = {
    "letters": "",
    "localisation": "localisation.f_loc localisation.f_loc_backward",
    "grid": "lattice.target_grid",
    "eq-1": "affine.affine_grid affine.affine_grid_backward affine.AFFINE",
    "eq-2": "affine.attention_matrix affine.ATTENTION",
    "projective": "projective.PROJECTIVE",
    "basis": "linear.linear",
    "mesh": "piecewise_affine.piecewise_affine",
    "spline": "thin_plate_spline.thin_plate_spline",
    "pixels": "lattice.to_pixels lattice.to_pixels_backward",
    "eq-3": "sampler.sample",
    "eq-4": "kernels.integer kernels.bilinear",
    "eq-6": "sampler.sample_backward",
    "eq-7": "sampler.sample_backward kernels.eq7_as_printed",
    "kernel-parameters": "more_kernels.hat sampler.sample_backward",
    "module": "transformer.spatial_transformer transformer.spatial_transformer_backward",
}
ANCHORS = tuple(STEPS)
OTHER = {"en": ("ar", "العربية"), "ar": ("index", "English")}
SCRIPTS = "".join(f'<script src="../_static/{name}.js"></script>' for name in ("equations", "play"))


def pages() -> dict[str, str]:
    """Path in the site's source ↦ text."""
    both = cells(PAGE.read_text())
    prose, code = [cell.text for cell in both[::2]], [cell.text for cell in both[1::2]]
    added, arabic = (path.read_text().split("\n---\n") for path in (ADDED, ARABIC))
    said = [with_equations(ar, en) for ar, en in zip(arabic, prose, strict=True)]
    prose = [f"{text}\n{more}" for text, more in zip(prose, added, strict=True)]
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
    words = json.loads(WORDS.read_text())[language]
    for text, done, anchor in zip(prose, code, ANCHORS, strict=True):
        headings, text = HEADING.findall(text), HEADING.sub("", text).strip()
        said, picture, in_print = PICTURE.split(
            text.replace("](../figures/", "](../../figures/").replace("](static/", "](../_static/")
        )
        for marks, title in headings:
            written += [rst(f"{marks} {title}"), ""]
        ids = [anchor, *["eq-5"] * (anchor == "eq-4")]
        spans = "".join(f'<span id="{i}"></span>' for i in ids)
        switch = raw(f'{spans}<a class="switch" href="{there}.html#{anchor}">{name}</a>')
        opening = anchor == ANCHORS[0]
        if opening:
            data = json.dumps({"words": words, "digits": digits()}, ensure_ascii=False)
            moves = raw(f'<script type="application/json">{data}</script>')
            move = box(f"play {language}", moves + rst(picture) + "\n\n" + rst(in_print))
            left, right = [switch + rst(said), move], blocks(*parts(done))
        else:
            left = [switch + rst(said), box("in-print", rst(in_print)) if in_print.strip() else ""]
            links = (f":py:obj:`~stn_ref.equations.{name}`" for name in STEPS[anchor].split())
            left += [f"{words['library']} {' · '.join(links)}"]
            right = blocks(*parts(done)) + "\n\n" + rst(picture)
        step = box(f"said {language}", "\n\n".join(left)) + box("done", right)
        written += [box("step opening" if opening else "step", step)]
    return "\n".join([*written, raw(SCRIPTS)])


def digits() -> dict[str, str]:
    """Three digits to play with, a byte a pixel."""
    labels = (2, 4, 5)
    return {
        str(label): bytes((255 * a_digit(label)).round().astype("u1")).hex() for label in labels
    }


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
    """A container of these classes."""
    return f".. container:: {name}\n\n{indent(text, '   ')}\n\n"


def raw(html: str) -> str:
    return f".. raw:: html\n\n   {html}\n\n"
