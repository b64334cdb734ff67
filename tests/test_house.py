"""The house: imports point down, the ground imports NumPy alone, files stay within a room."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "stn_ref"
FILES = sorted(PACKAGE.rglob("*.py"))

# a room may import from the floors before its own, and from no other room on its own
FLOORS = [
    ("equations", "lazy", "files", "progress"),
    ("backends",),
    ("proofs", "api", "tracing"),
    ("__init__", "oracle", "nn", "data"),
    ("plots",),
    ("experiments", "demo"),
    ("bench",),
    ("__main__", "paper"),  # nothing is built on the page
]
ARROWS = 61  # one fewer is better than one more


def imports(path):
    """Every module that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            if node.module == "stn_ref":
                yield from (f"stn_ref.{alias.name}" for alias in node.names)
            else:
                yield node.module


def floor_of(name):
    return next((k for k, rooms in enumerate(FLOORS) if name in rooms), None)


def room(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def arrows(path):
    """From the file's room to those that it imports from."""
    for name in imports(path):
        package, _, inner = name.partition(".")
        if package == "stn_ref":
            there = inner.split(".")[0] or "__init__"
            yield room(path), there if floor_of(there) is not None else "__init__", name


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path):
    assert floor_of(room(path)) is not None, f"{path} is on no floor"
    for here, there, name in arrows(path):
        below = floor_of(there) < floor_of(here)
        assert here == there or below, f"{path} imports {name}, which is not below it"


def test_the_house_has_few_rooms_and_few_arrows():
    assert {room(path) for path in FILES} == {name for floor in FLOORS for name in floor}
    assert sum(map(len, FLOORS)) <= 18
    found = {(here, there) for path in FILES for here, there, _ in arrows(path) if here != there}
    assert len(found) <= ARROWS, sorted(found)


@pytest.mark.parametrize("path", sorted((PACKAGE / "equations").glob("*.py")), ids=lambda p: p.name)
def test_the_equations_import_numpy_alone(path):
    allowed = {"numpy", *sys.stdlib_module_names}
    for name in imports(path):
        assert name.split(".")[0] in allowed or name.startswith("stn_ref.equations"), name


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_file_is_one_room(path):
    lines = path.read_text().splitlines()
    assert len(lines) <= (400 if path.name == "paper.py" else 300)
    assert lines[0].startswith('"""'), "it begins by saying what it is"


def loaded_by(code):
    """The modules that a program has loaded, without their submodules."""
    code += "; import sys; print(*{name.split('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_importing_the_package_loads_nothing_heavy():
    heavy = {"numba", "matplotlib", "scipy", "pytest", "hypothesis", "torch"}
    for package in ("oracle", "plots", "proofs", "bench"):
        assert not loaded_by(f"import stn_ref.{package}") & {"numpy", *heavy}
    sampler = loaded_by("import stn_ref; stn_ref.sample")
    assert "numpy" in sampler and not sampler & heavy


def test_no_global_random_state_is_used():
    for path in FILES + sorted((ROOT / "tutorials").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "np.random":
                assert node.attr in ("Generator", "default_rng"), f"{path}: {node.attr}"


def test_what_the_site_says_is_tested_where_sphinx_is_not():
    """`make test` does not install it; what needs it skips by itself."""
    code = "import sys; sys.modules |= {'sphinx': None, 'docutils': None}; import tests.test_docs"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PACKAGE.parent)
