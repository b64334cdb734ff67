"""The reference: a page for each public module, written from its names and their docstrings."""

from __future__ import annotations

import ast
import inspect
import re
from importlib import import_module
from pathlib import Path

from docs.ext.docstrings import described

ROOT = Path(__file__).parents[2]

# a group begins with its package; what is not named here follows
GROUPS = {
    "The door": ["stn_ref", "stn_ref.tracing", "stn_ref.paper"],
    "The equations, in the paper's order": [
        "stn_ref.equations",
        "stn_ref.equations.localisation",
        "stn_ref.equations.lattice",
        "stn_ref.equations.transformation",
        "stn_ref.equations.affine",
        "stn_ref.equations.projective",
        "stn_ref.equations.linear",
        "stn_ref.equations.thin_plate_spline",
        "stn_ref.equations.piecewise_affine",
        "stn_ref.equations.compose",
        "stn_ref.equations.kernels",
        "stn_ref.equations.more_kernels",
        "stn_ref.equations.padding",
        "stn_ref.equations.taps",
        "stn_ref.equations.sampler",
        "stn_ref.equations.hessian",
        "stn_ref.equations.transformer",
    ],
    "Backends": ["stn_ref.backends"],
    "Networks": ["stn_ref.nn"],
    "Data": ["stn_ref.data"],
    "The oracle": ["stn_ref.oracle", "stn_ref.oracle.torch", "stn_ref.oracle.onnx"],
    "Finite differences": ["stn_ref.proofs"],
    "Pictures": ["stn_ref.plots"],
}
# helpers, what a package exports, and commands, whose reference is --help
HIDDEN = re.compile(
    r"equations\.(arguments|gather)|backends\.(?!contract$).*|nn\.(?!layer$|trees$).*|data\..*"
    r"|oracle\.(affine|arguments|bounds|checking|dialect|differences|exact|families|grids|report"
    r"|halves|sampling|twofold|vector_files)|experiments.*|api|bench.*|demo|files|lazy|progress"
    r"|plots\.(canvas|descent|examples|explore|galleries|images|output|own_data|roofline|sheets)"
    r"|proofs\.(cases|checks|forward_checks)|__main__"
)
ELSEWHERE = ("stn_ref.equations",)  # its names have their pages with the modules that define them


def groups() -> dict[str, list[str]]:
    """The modules that have a page, by group: those above, then the rest of the first's package."""
    found = {title: list(names) for title, names in GROUPS.items()}
    listed = {name for names in found.values() for name in names}
    for path in sorted((ROOT / "stn_ref").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        if name not in listed and not HIDDEN.fullmatch(name.removeprefix("stn_ref.")):
            package = name.rpartition(".")[0]
            next(names for names in found.values() if names[0] == package).append(name)
    return found


MODULES = [name for group in groups().values() for name in group]


def public(name: str) -> list[str]:
    """The names of a module that its page lists: `__all__`, or what it defines and describes."""
    module = import_module(name)
    exported = getattr(module, "__all__", None)
    if exported is not None:
        return list(exported)
    found: list[str] = []
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            found.append(node.name)
        elif isinstance(node, ast.Assign):
            targets = [leaf for target in node.targets for leaf in ast.walk(target)]
            words = [leaf.id for leaf in targets if isinstance(leaf, ast.Name)]
            found += [word for word in words if described(getattr(module, word))]
    return [word for word in found if not word.startswith("_")]


def page(name: str) -> str:
    """A module's page: what it says of itself, a table of its names, then each of them."""
    module = import_module(name)
    lines = [name, "=" * len(name), "", f".. automodule:: {name}", ""]
    names = public(name)
    if names:
        lines += [f".. currentmodule:: {name}", "", ".. autosummary::", ""]
        lines += [*(f"   {word}" for word in names), ""]
    for word in names if name not in ELSEWHERE else []:
        value = getattr(module, word)
        kind, option = "autodata", "   :no-value:" * bool(described(value))
        if inspect.isclass(value):
            kind, option = "autoclass", "   :members:"
        elif callable(value):
            kind, option = "autofunction", ""
        lines += [f".. {kind}:: {word}", option, ""]
    return "\n".join(lines)


def pages() -> dict[str, str]:
    """Path in the site's source ↦ text, the table of contents among them."""
    lines = ["API", "===", ""]
    for title, names in groups().items():
        lines += [title, "-" * len(title), "", ".. toctree::", "   :maxdepth: 1", ""]
        lines += [*(f"   {name.removeprefix('stn_ref.')} <{name}>" for name in names), ""]
    return {"api/index.rst": "\n".join(lines), **{f"api/{m}.rst": page(m) for m in MODULES}}
