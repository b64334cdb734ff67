"""Packages that load a name when it is first asked for, so that importing them costs nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Any


def lazily(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package (PEP 562).

    homes  name ↦ the module of the package that defines it; the modules go by their own names
    """

    def modules() -> set[str]:
        return {found.name for found in iter_modules(sys.modules[package].__path__)}

    def load(name: str) -> Any:
        home = homes.get(name, name)
        if home.partition(".")[0] not in modules():
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(f"{package}.{home}")
        value = getattr(module, name) if name in homes else module
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes, *modules()})

    return load, names
