"""Compiling on first use, and keeping what was compiled for the next process.

Numba's own cache does not notice an edit in a file that the compiled one calls into, so the
folder's name holds a hash of all the sources that have a part in it. Its files hold one compiled
function each, with a hash: processes that compile at once, for other types or on another kind of
processor, do not meet in one file, and what a crash left half-written is never run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile
from threading import RLock
from typing import Any

import numba
from numba import njit
from numba.core.caching import CompileResultCacheImpl, FunctionCache, IndexDataCacheFile

PACKAGE = Path(__file__).parents[2]
COMPILED = ("equations/*.py", "backends/**/*.py", "nn/patches.py")
SETTINGS = ("BOUNDSCHECK", "OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "DEBUGINFO_DEFAULT")


def sources() -> list[Path]:
    """The files that compiled code is made from, and those that they call into."""
    return sorted(path for pattern in COMPILED for path in PACKAGE.glob(pattern))


@cache
def folder() -> Path | None:
    """Where compiled code is kept for these sources and settings; None if nothing can be kept.

    In NUMBA_CACHE_DIR if that is set, else in the user's cache folder.
    """
    settings = [numba.__version__, *(getattr(numba.config, name, None) for name in SETTINGS)]
    digest = sha256(repr(settings).encode())
    found = sources()
    for path in found:
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes())
    try:
        home = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
        place = Path(home or Path.home() / ".cache") / "stn_ref" / digest.hexdigest()[:16]
        place.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=place):
            return place if found else None
    except (OSError, RuntimeError):  # Path.home raises the latter for a user without a home
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
        return Path(self.get_cache_path()).name  # the hash of the sources

    def get_disambiguator(self) -> str:
        return str(self.line)


class _Impl(CompileResultCacheImpl):
    _locator_classes = [_Locator]


class _File(IndexDataCacheFile):
    """Numba's two files, an index and the data, with a hash at the end of both."""

    def _dump(self, obj: Any) -> bytes:
        data: bytes = super()._dump(obj)
        return data + sha256(data).digest()  # unpickling stops before it

    def _load_data(self, name: str) -> Any:
        data = Path(self._data_path(name)).read_bytes()
        if sha256(data[:-32]).digest() != data[-32:]:
            raise OSError(f"{name} is damaged")
        return super()._load_data(name)


class _Cache(FunctionCache):
    """Numba's cache in our folder; a file that cannot be read or written is as none."""

    _impl_class = _Impl

    def _index_key(self, signature: Any, codegen: Any) -> Any:
        """Numba's key, before it looks in the file; so each key gets a file of its own."""
        key = super()._index_key(signature, codegen)
        name = f"{self._impl.filename_base}-{sha256(repr(key).encode()).hexdigest()[:16]}"
        self._cache_file = _File(str(folder()), name, self._impl.locator.get_source_stamp())
        return key

    def load_overload(self, *args: Any) -> Any:
        try:
            return super().load_overload(*args)
        except Exception:
            with suppress(OSError):
                self._cache_file.flush()  # a broken index: begin anew
            return None

    @contextmanager
    def _guard_against_spurious_io_errors(self) -> Iterator[None]:
        with suppress(OSError):
            yield


def keep(compiler: Any, function: Callable[..., Any]) -> None:
    """Let a dispatcher or a C function look in our folder before it compiles."""
    if folder() is not None:
        compiler._cache = _Cache(function)


_compiled: dict[Any, Any] = {}
_lock = RLock()


def compiled(function: Callable[..., Any], signature: Any, *, parallel: bool = False) -> Any:
    """The function, compiled once for this signature and no other; it runs without the GIL."""
    key = function, signature, parallel
    with _lock:  # several threads may ask at once
        if key not in _compiled:
            dispatcher = njit(nogil=True, parallel=parallel, error_model="numpy")(function)
            keep(dispatcher, function)
            dispatcher.compile(signature)
            dispatcher.disable_compile()
            _compiled[key] = dispatcher
        return _compiled[key]
