"""Compiling on first use, and keeping what was compiled for the next process.

Numba's own cache does not notice an edit in a file that the compiled one calls into, so the
folder's name holds a hash of all the package's sources.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from numba import njit
from numba.core.caching import CompileResultCacheImpl, FunctionCache

PACKAGE = Path(__file__).parents[2]


@cache
def folder() -> Path | None:
    """Where compiled code is kept for this version of the sources; None if nothing can be kept.

    In NUMBA_CACHE_DIR if that is set, else in the user's cache folder.
    """
    digest = sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes())
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    place = Path(os.environ.get("NUMBA_CACHE_DIR") or home)
    place = place / "stn_ref" / digest.hexdigest()[:16]
    try:
        place.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=place):
            return place
    except OSError:
        return None


class _Locator:
    """What Numba asks to know where a function's cache lies."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.line = function.__code__.co_firstlineno

    @classmethod
    def from_function(cls, function: Callable[..., Any], path: str) -> _Locator:
        return cls(function)

    def get_cache_path(self) -> str:
        return str(folder())

    def ensure_cache_path(self) -> None:
        pass

    def get_source_stamp(self) -> str:
        return str(folder())  # its hash stands for the sources

    def get_disambiguator(self) -> str:
        return str(self.line)


class _Impl(CompileResultCacheImpl):
    _locator_classes = [_Locator]


class _Cache(FunctionCache):
    """Numba's cache in our folder; a file that cannot be read or written is as none."""

    _impl_class = _Impl

    def load_overload(self, *args: Any) -> Any:
        with suppress(Exception):
            return super().load_overload(*args)
        return None

    @contextmanager
    def _guard_against_spurious_io_errors(self) -> Iterator[None]:
        with suppress(OSError):
            yield


def keep(compiler: Any, function: Callable[..., Any]) -> None:
    """Let a dispatcher or a C function look in our folder before it compiles."""
    if folder() is not None:
        compiler._cache = _Cache(function)


def compiled(function: Callable[..., Any], signature: Any, *, parallel: bool = False) -> Any:
    """The function, compiled once for this signature and no other; it runs without the GIL."""
    dispatcher = njit(nogil=True, parallel=parallel)(function)
    keep(dispatcher, function)
    dispatcher.compile(signature)
    dispatcher.disable_compile()
    return dispatcher
