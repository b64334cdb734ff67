"""What a reader must open: the functions that a function reaches in the call graph of some files.

A call by a name is followed, within its file or through `from … import`; what arguments.py checks
counts as one, for a reader may believe a check.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

CHECKS = "arguments"


class Files:
    """The functions of these files, and what each of them names."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self.used: dict[str, set[str]] = {}  # file.function ↦ those that it names
        trees = {path.stem: ast.parse(path.read_text()) for path in paths}
        defined = {
            stem: {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
            for stem, tree in trees.items()
        }
        for stem, tree in trees.items():
            home = {name: f"{stem}.{name}" for name in defined[stem]}
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and node.module:
                    there = node.module.rpartition(".")[2]
                    for alias in node.names:
                        if alias.name in defined.get(there, ()):
                            home[alias.asname or alias.name] = f"{there}.{alias.name}"
            for node in tree.body:
                if isinstance(node, ast.FunctionDef):
                    names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
                    self.used[f"{stem}.{node.name}"] = {home[n] for n in names & home.keys()}

    def helpers(self, function: str) -> set[str]:
        """What must be opened to read it, `file.function`, itself apart."""
        found, new = set(), {function}
        while new:
            found |= new
            new = set().union(*(self.used[f] for f in new if not f.startswith(CHECKS))) - found
        return {CHECKS if f.startswith(f"{CHECKS}.") else f for f in found - {function}}
