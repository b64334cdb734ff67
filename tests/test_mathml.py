"""Formulas as MathML, where Sphinx is there: `make docs` installs it."""

import inspect
import re
from importlib import import_module

import pytest

pytest.importorskip("sphinx", reason="pip install 'stn_ref[docs]' sets formulas")
from docutils import nodes  # noqa: E402
from docutils.utils.math.latex2mathml import tex2mathml  # noqa: E402

from docs.ext import mathml, reference  # noqa: E402
from docs.ext.docstrings import as_numpydoc  # noqa: E402

# where a block is no equation: code, tables, and one with words in its columns
TEXTS = {"", "equations", "equations.lattice", "oracle", "oracle.onnx", "oracle.pytest_plugin"}
TEXTS |= {"oracle.strategies"}


def test_every_equation_of_the_reference_becomes_mathml():
    texts, formulas = set(), []
    for name in reference.MODULES:
        module = import_module(name)
        for value in (module, *(getattr(module, word) for word in reference.public(name))):
            lines = as_numpydoc((inspect.getdoc(value) or "").splitlines())
            for k, line in enumerate(lines):
                if line == ".. math::":
                    rest = "\n".join(lines[k + 2 :])
                    formulas.append(re.match(r"(?:   .*\n)+", rest)[0])
                elif line == "   :class: equation":
                    texts.add(name.removeprefix("stn_ref").removeprefix("."))
    assert texts == TEXTS and len(formulas) > 45
    for formula in formulas:
        assert tex2mathml(formula.strip(), True)


def test_a_formula_is_split_where_lines_may_break():
    tex = r"a \quad b, \qquad {c \quad d} \begin{cases} e \quad f \end{cases} \quad \{ g"
    assert [piece.strip() for piece in mathml.pieces(tex)] == [
        *("a", "b,", r"{c \quad d} \begin{cases} e \quad f \end{cases}", r"\{ g")
    ]


def test_what_stands_below_an_accented_letter_is_no_limit():
    node = nodes.math("", r"\dot{V}_{i} + {\dot \theta}_i + \sum_n x")
    found = re.sub(r"\s", "", mathml._mathml(None, node, node.astext(), True))
    assert found.count("<munder>") == 1 and found.count("<msub>") == 2 and "munderover" not in found
