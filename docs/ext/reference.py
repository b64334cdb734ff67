"""The reference: a page for each public module, written from its names and their docstrings."""

from __future__ import annotations

import ast
import inspect
from importlib import import_module

from docs.ext.docstrings import described

E = "stn_ref.equations"
GROUPS = {
    "The door": ["stn_ref", "stn_ref.gradcheck", "stn_ref.knots", "stn_ref.tracing"],
    "The equations, in the paper's order": [
        E,
        f"{E}.localisation",
        f"{E}.lattice",
        f"{E}.transformation",
        f"{E}.affine",
        f"{E}.projective",
        f"{E}.linear",
        f"{E}.thin_plate_spline",
        f"{E}.piecewise_affine",
        f"{E}.compose",
        f"{E}.kernels",
        f"{E}.more_kernels",
        f"{E}.padding",
        f"{E}.taps",
        f"{E}.sampler",
        f"{E}.transformer",
    ],
    "Backends": ["stn_ref.backends", "stn_ref.backends.contract"],
    "Networks and data": ["stn_ref.nn", "stn_ref.nn.layer", "stn_ref.nn.trees", "stn_ref.data"],
    "The oracle": [
        "stn_ref.oracle",
        "stn_ref.oracle.torch",
        "stn_ref.oracle.onnx",
        "stn_ref.oracle.jax",
        "stn_ref.oracle.scipy",
        "stn_ref.oracle.opencv",
        "stn_ref.oracle.tensorflow",
        "stn_ref.oracle.torch7",
        "stn_ref.oracle.strategies",
        "stn_ref.oracle.pytest_plugin",
        "stn_ref.oracle.vectors",
    ],
    "Pictures": ["stn_ref.plots", "stn_ref.diagrams", "stn_ref.films"],
}
MODULES = [name for group in GROUPS.values() for name in group]
ELSEWHERE = (E,)  # its names have their pages with the modules that define them


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
        kind, option = "autofunction", ""
        if inspect.isclass(value):
            kind, option = "autoclass", "   :members:"
        elif described(value):
            kind, option = "autodata", "   :no-value:"
        lines += [f".. {kind}:: {word}", option, ""]
    return "\n".join(lines)


def pages() -> dict[str, str]:
    """Path in the site's source ↦ text, the table of contents among them."""
    lines = ["API", "===", ""]
    for title, names in GROUPS.items():
        lines += [title, "-" * len(title), "", ".. toctree::", "   :maxdepth: 1", ""]
        lines += [*(f"   {name.removeprefix('stn_ref.')} <{name}>" for name in names), ""]
    return {"api/index.rst": "\n".join(lines), **{f"api/{m}.rst": page(m) for m in MODULES}}
