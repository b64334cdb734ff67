"""The guide's tables go both ways, and its code does what it says."""

import ast
import contextlib
import importlib
import io
import re
from pathlib import Path

import pytest

import stn_ref
from stn_ref.plots import examples

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs" / "guide"
CITATION = re.compile(r"Eq\. \d|§3\.\d")
LABEL = re.compile(r"  (Eq\. \d|§3\.\d)$", re.MULTILINE)  # at the end of an equation's line


def table(page):
    """The cells of each row of the first table of a page."""
    lines = [x for x in (GUIDE / f"{page}.md").read_text().splitlines() if x.startswith("|")][2:]
    return [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


INDEX = table("equation-index")


def names_in(path):
    tree = ast.parse((ROOT / "tests" / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def docstrings():
    """module.name → docstring, of every public function and class in equations/."""
    for path in sorted((ROOT / "stn_ref" / "equations").glob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                yield f"{path.stem}.{node.name}", ast.get_docstring(node) or ""


LABELLED = {(label, name) for name, text in docstrings() for label in LABEL.findall(text)}


@pytest.mark.parametrize("row", INDEX, ids=lambda row: row[2])
def test_every_row_of_the_index_resolves(row):
    equation, _, function, test, figure = (cell.strip("`") for cell in row)
    module, name = function.split(".")
    assert callable(getattr(importlib.import_module(f"stn_ref.equations.{module}"), name))
    assert (equation, function) in LABELLED
    file, test_name = test.split("::")
    assert test_name in names_in(file)
    assert (ROOT / "figures" / figure).is_file()
    scripts = [path.read_text() for path in (ROOT / "tutorials").glob("*.py")]
    assert any(f'"{figure}"' in script for script in scripts)


def test_every_equation_that_a_docstring_states_has_a_row():
    assert {(row[0], row[2].strip("`")) for row in INDEX} == LABELLED


def test_every_equation_of_section_3_has_a_row_and_nothing_else_is_cited():
    cited = {c for _, text in docstrings() for c in CITATION.findall(text)}
    section = {f"Eq. {n}" for n in range(1, 8)} | {f"§3.{n}" for n in range(1, 5)}
    assert {row[0] for row in INDEX} == section and cited == section


def test_the_code_runs_and_prints_what_the_guide_shows():
    pages = "\n".join(path.read_text() for path in sorted(GUIDE.glob("*.md")))
    blocks = re.findall(r"```(\w*)\n(.*?)```", pages, re.DOTALL)
    shown = [text.rstrip() for language, text in blocks if not language]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for language, code in blocks:
            if language == "python":
                exec(compile(code, "guide", "exec"), {})
        U, (theta, size) = examples.a_digit()[None], examples.a_crop()
        print(stn_ref.trace(U, theta, at=(0, 6, 11), size=size))
    noise = re.compile(r"-?\d\.\d+e[+-]\d+|(?<=worst at ).*")  # which is worst is rounding's choice
    assert len(shown) == 2
    output = " ".join(noise.sub("#", printed.getvalue()).split())
    for text in shown:
        assert " ".join(noise.sub("#", text).split()) in output
