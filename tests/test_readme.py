"""The README's two tables go both ways, and its code does what it says."""

import ast
import contextlib
import importlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
CITATION = re.compile(r"Eq\. \d|§3\.\d")


def table(heading):
    """The cells of each row under a heading."""
    section = README.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


INDEX = table("The equation index")
DIFFERENCES = table("Where this code and the print differ")


def names_in(path):
    tree = ast.parse((ROOT / "tests" / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def cited_functions():
    """module.function → citations, of every public function in equations/ that cites the paper."""
    found = {}
    for path in sorted((ROOT / "stn_ref" / "equations").glob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                citations = CITATION.findall(ast.get_docstring(node) or "")
                found[f"{path.stem}.{node.name}"] = set(citations)
    return {function: citations for function, citations in found.items() if citations}


CITED = cited_functions()


@pytest.mark.parametrize("row", INDEX, ids=lambda row: row[2])
def test_every_row_of_the_index_resolves(row):
    equation, _, function, test, figure = (cell.strip("`") for cell in row)
    module, name = function.split(".")
    assert callable(getattr(importlib.import_module(f"stn_ref.equations.{module}"), name))
    assert equation in CITED[function]
    file, test_name = test.split("::")
    assert test_name in names_in(file)
    assert (ROOT / "figures" / figure).is_file()
    scripts = [path.read_text() for path in (ROOT / "tutorials").glob("*.py")]
    assert any(f'"{figure}"' in script for script in scripts)


def test_every_function_that_cites_the_paper_has_a_row():
    assert set(CITED) == {row[2].strip("`") for row in INDEX}


def test_every_equation_of_section_3_is_cited_by_a_function():
    cited = set().union(*CITED.values())
    assert cited == {f"Eq. {n}" for n in range(1, 8)} | {f"§3.{n}" for n in range(1, 5)}


@pytest.mark.parametrize("row", DIFFERENCES, ids=lambda row: row[0][:30])
def test_every_difference_has_its_test(row):
    file, test_name = row[2].strip("`").split("::")
    assert test_name in names_in(file)


def test_every_figure_is_shown_and_every_shown_figure_exists():
    shown = set(re.findall(r"\(figures/([\w.]+)\)", README))
    assert shown == {path.name for path in (ROOT / "figures").glob("*.png")}


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(((?!http)[^)]+)\)", README))))
def test_links_lead_somewhere(link):
    assert (ROOT / link).exists()


def test_the_code_runs_and_prints_what_the_readme_shows():
    blocks = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)
    shown = [text.rstrip() for language, text in blocks if not language]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for language, code in blocks:
            if language == "python":
                exec(compile(code, "README.md", "exec"), {})
    numberless = lambda text: re.sub(r"error \S+", "error", text)  # noqa: E731
    assert numberless(shown[-1]) in numberless(printed.getvalue())
