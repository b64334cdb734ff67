"""Weights as trees: nested tuples and dicts whose leaves are arrays, each with a name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from stn_ref.equations.arguments import Array
from stn_ref.nn.layer import Params


def named(tree: Params, name: str = "") -> Iterator[tuple[str, Array]]:
    """Every leaf with its name, the keys on the way to it: "2/f_loc/0/W"."""
    for key, branch in _branches(tree):
        path = f"{name}/{key}" if name else str(key)
        if isinstance(branch, tuple | dict):
            yield from named(branch, path)
        else:
            yield path, branch


def mapped(f: Callable[..., Any], *trees: Params) -> Params:
    """The tree of f(leaf, leaf, …), leaf by leaf; all are alike in structure."""
    first = trees[0]
    if isinstance(first, dict):
        return {key: mapped(f, *(tree[key] for tree in trees)) for key in first}
    if isinstance(first, tuple):
        return tuple(mapped(f, *branches) for branches in zip(*trees, strict=True))
    return f(*trees)


def renamed(tree: Params, name: str = "") -> Params:
    """The tree with each leaf's name in its place."""
    found = {
        key: renamed(branch, path) if isinstance(branch, tuple | dict) else path
        for key, branch in _branches(tree)
        for path in [f"{name}/{key}" if name else str(key)]
    }
    return found if isinstance(tree, dict) else tuple(found.values())


def cast(tree: Params, dtype: Any) -> Params:
    """The same weights in another precision.

    Raises TypeError if a leaf is no array.
    """

    def one(leaf: Array) -> Array:
        if not isinstance(leaf, np.ndarray | np.generic):
            raise TypeError(
                f"a leaf of the weights is {leaf!r}; expected an array: "
                "weights are tuples and dicts of arrays, () where there are none"
            )
        return np.asarray(leaf).astype(dtype)

    return mapped(one, tree)


def count(tree: Params) -> int:
    """How many numbers there are to learn."""
    return sum(leaf.size for _, leaf in named(tree))


def _branches(tree: Params) -> Iterator[tuple[Any, Any]]:
    yield from tree.items() if isinstance(tree, dict) else enumerate(tree)
