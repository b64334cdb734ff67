"""Records print as one types them, and pickle as the call that made them."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import fields
from functools import partial
from hashlib import sha256
from inspect import isroutine, signature
from typing import Any, ClassVar, Self

import numpy as np

NOUNS = {"control_points": "points", "identity": "functions"}  # else an argument's own name
FULL = ContextVar("FULL", default=False)


class Record:
    """A dataclass that prints short, pickles and copies, closures or not.

    A factory leaves its call on the record that it makes: `repr` shows the call, and unpickling
    makes it again. The call is not a field, so equality does not ask for it, and what
    `dataclasses.replace` makes has none. A record without a call pickles by its fields, so its
    functions must be those of a module.
    """

    _made: partial[Any] | str | None = None
    _shown: ClassVar[tuple[str, ...]] = ()  # fields to print besides the name, without a call

    def made_by(self, factory: Callable[..., Any], *arguments: Any, **options: Any) -> Self:
        """The record, which is from now on what factory(*arguments, **options) makes."""
        vars(self)["_made"] = partial(factory, *arguments, **options)
        return self

    def known_as(self, name: str) -> Self:
        """The record, from now on the constant of this name in `stn_ref.equations`."""
        vars(self).update(_made=name, __module__="stn_ref.equations")
        return self

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self._made is None:
            return super().__reduce_ex__(protocol)
        return self._made if isinstance(self._made, str) else (self._made, ())

    def __repr__(self) -> str:
        if isinstance(self._made, str):
            return self._made
        if self._made is not None:
            return typed(self._made)
        factory: Any = type(self)
        name, *rest = (field.name for field in fields(factory))
        options = {field: getattr(self, field) for field in (rest if FULL.get() else self._shown)}
        return typed(partial(factory, getattr(self, name), **options))


def typed(call: partial[Any]) -> str:
    """A call as one types it; of an array how many rows it has.

    Functions are left out, and keyword-only arguments that are as by default; `in_full` shows all.
    """
    parts, parameters = [repr(value) for value in call.args], signature(call.func).parameters
    defaults = {n: p.default for n, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
    for name, value in call.keywords.items():
        if isinstance(value, np.ndarray):
            digest = sha256(value.tobytes()).hexdigest()[:16]
            short = f"{len(value)} {NOUNS.get(name, name)}"
            parts.append(f"{name}={value.shape}-{digest}" if FULL.get() else short)
        elif FULL.get() or not (isroutine(value) or name in defaults and value == defaults[name]):
            parts.append(f"{name}={value!r}")
    return f"{call.func.__name__}({', '.join(parts)})"


def typed_fields(record: Any) -> str:
    """A dataclass as one types it, for its `__repr__`."""
    own = fields(record)
    arguments = [getattr(record, f.name) for f in own if not f.kw_only]
    options = {f.name: getattr(record, f.name) for f in own if f.kw_only}
    factory: Any = type(record)
    return typed(partial(factory, *arguments, **options))


def in_full(value: object) -> str:
    """Its `repr`, with all that the records in it are made from: arrays by a hash of their bytes.

    It tells apart two splines of as many points, and two kernels of one name.
    """
    token = FULL.set(True)
    try:
        return repr(value)
    finally:
        FULL.reset(token)
