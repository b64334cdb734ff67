"""What Sphinx does with the house's docstrings, and where a name in one leads."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.ext import autosummary

from docs.ext import reference
from docs.ext.docstrings import as_numpydoc, described


def _docstring(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    if what in ("data", "attribute"):
        own = obj.__doc__ is None or lines[:1] != obj.__doc__.splitlines()[:1]  # not its class's
        lines[:] = described(obj) or lines * own
    else:
        lines[:] = as_numpydoc(lines)


def _reference(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, text: nodes.Element
) -> nodes.Element | None:
    """A name of the package under another name than it is documented by, or without its module."""
    if node.get("refdomain") != "py":
        return None
    domain = env.domains.python_domain
    target, here = node["reftarget"], str(node.get("py:module") or "stn_ref")
    above = [here.rsplit(".", k)[0] for k in range(here.count(".") + 1)]
    for prefix in ("", *(f"{name}." for name in above), "stn_ref.equations."):
        for name in _names(prefix + target):
            if name in domain.objects:
                entry = domain.objects[name]
                uri = app.builder.get_relative_uri(node["refdoc"], entry.docname)
                return nodes.reference("", "", text, internal=True, refuri=f"{uri}#{entry.node_id}")
    return None


def _names(path: str) -> Iterator[str]:
    """The dotted path, and others that lead to the same thing."""
    yield path
    home, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(home), name)
    except (ImportError, AttributeError, ValueError):
        return
    for module in list(sys.modules):
        if module.startswith("stn_ref") and vars(sys.modules[module]).get(name) is found:
            yield f"{module}.{name}"


def _sources(app: Sphinx, env: Any) -> None:
    """From a module's source back to its own page, where its names are on more pages than one."""
    for name in set(env._viewcode_modules) & set(reference.MODULES):
        code, tags, used, _ = env._viewcode_modules[name]
        env._viewcode_modules[name] = code, tags, dict.fromkeys(used, f"api/{name}"), name


def setup(app: Sphinx) -> dict[str, Any]:
    autosummary.WELL_KNOWN_ABBREVIATIONS += ("Eq.", "Eqs.")  # no sentence ends there
    app.connect("autodoc-process-docstring", _docstring, priority=400)  # numpydoc's is 500
    app.connect("missing-reference", _reference)
    app.connect("env-updated", _sources)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
