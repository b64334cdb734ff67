"""The same four functions, computed in several ways; `get` finds one by name."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from stn_ref.backends.contract import Backend
from stn_ref.equations.arguments import choice

BACKENDS = ("reference", "cpu", "cuda")


def get(name: str) -> Backend:
    """The backend of this name, a module with the functions of `contract.Backend`.

    Raises ValueError for a name that is none of BACKENDS.
    """
    return cast(Backend, import_module(f"stn_ref.backends.{choice('backend', name, BACKENDS)}"))
