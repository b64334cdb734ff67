"""The page of section 3: literal, short, on its own, and settled when it is run."""

import ast
import re
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "stn_ref" / "paper.py"
FUNCTIONS = {f.name: f for f in ast.parse(PAGE.read_text()).body if isinstance(f, ast.FunctionDef)}


def test_it_fits_on_a_page_of_400_lines():
    assert len(PAGE.read_text().splitlines()) <= 400


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_an_equation_of_at_most_eight_lines(name):
    docstring, *code = FUNCTIONS[name].body
    assert ast.get_docstring(FUNCTIONS[name])
    assert code[-1].end_lineno - docstring.end_lineno <= 8


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_equation_needs_at_most_two_others_to_be_read(name):
    used = {node.id for node in ast.walk(FUNCTIONS[name]) if isinstance(node, ast.Name)}
    helpers = used & FUNCTIONS.keys() - {name}
    if name.startswith("spatial_transformer"):  # it is made of equations, and of nothing else
        assert all(re.search(r"Eq\. |§", ast.get_docstring(FUNCTIONS[h])) for h in helpers)
    else:
        assert len(helpers) <= 2, helpers


def test_it_is_numpy_alone_and_nothing_in_the_package_is_built_on_it():
    modules = set()
    for path in (ROOT / "stn_ref").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            assert path == PAGE or "stn_ref.paper" not in names, path
            modules |= set(names) if path == PAGE else set()
    assert modules == {"numpy", "pathlib.Path"}


def test_run_as_a_command_it_says_what_each_equation_has_settled():
    run = subprocess.run(
        [sys.executable, "-W", "error", "-m", "stn_ref", "paper"], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    said = [label for label, _ in groupby(run.stdout.splitlines(), lambda line: line[:6].strip())]
    equations = [f"Eq. {n}" for n in range(1, 8)]
    assert said == ["§3.1", "§3.2", *equations[:2], "§3.2", *equations[2:], "§3.3", "§3.4"]
    assert re.search(r"module: dU.* apart by \de-", run.stdout)
