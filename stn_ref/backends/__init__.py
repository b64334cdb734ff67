"""The same four functions, computed in several ways; `get` finds one by name."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import cast

from stn_ref.backends.contract import Backend, Module
from stn_ref.equations.arguments import choice

BACKENDS = ("reference", "cpu", "cuda")


@cache
def _of(name: str) -> Backend:
    return Backend(name, cast(Module, import_module(f"stn_ref.backends.{name}")))


def get(name: str) -> Backend:
    """The backend of this name.

    Raises ValueError for a name that is none of BACKENDS.
    """
    return _of(choice("backend", name, BACKENDS))
