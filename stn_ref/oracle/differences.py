"""`explain`: how two dialects differ, each difference with an input that shows it.

A probe is a point beside, on or outside a row of pixels. Both dialects are asked for the same
thing there, as far as they have it, each in its own options; where what they say is not the same,
that is a difference, and each dialect's rule on the topic tells why.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from stn_ref.equations.arguments import Array, choice
from stn_ref.oracle import exact
from stn_ref.oracle.dialect import Dialect, sampler_of

NAMES = ("torch", "torch volumes", "onnx", "tensorflow", "scipy", "jax", "opencv", "torch7")
ROW = (10.0, 20.0, 40.0, 50.0, 80.0)


class Probe(NamedTuple):
    """Something to ask for; padding None is the dialect's default, slope the derivative in x."""

    topic: str
    kernel: str
    padding: str | None
    x: float
    slope: bool = False


class Difference(NamedTuple):
    """A probe, and what the two say."""

    probe: Probe
    values: tuple[float, float]
    calls: tuple[str, str]


TIES, OUTSIDE, LOST, SLOPES, EDGES = "ties", "outside", "not finite", "slopes", "edges"
PROBES = (
    *(Probe(TIES, "nearest", "zeros", x) for x in (-0.5, 0.5, 1.5, 2.5)),
    *(Probe(TIES, "nearest", "border", x) for x in (0.5, 1.5)),
    *(Probe(TIES, "nearest", padding, -1.5) for padding in ("symmetric", "reflection")),
    Probe(OUTSIDE, "linear", None, -0.5),
    *(Probe(OUTSIDE, "linear", padding, 4.5) for padding in ("zeros", "border", "wrap")),
    *(Probe(OUTSIDE, "linear", padding, -1.25) for padding in ("symmetric", "reflection")),
    *(Probe(OUTSIDE, "cubic", padding, -0.75) for padding in ("zeros", "border")),
    *(Probe(LOST, kernel, "zeros", np.nan) for kernel in ("linear", "nearest")),
    *(Probe(LOST, kernel, "border", np.nan) for kernel in ("linear", "nearest")),
    *(Probe(LOST, "linear", padding, np.inf) for padding in ("zeros", "border", "symmetric")),
    Probe(SLOPES, "linear", "zeros", 1.0, slope=True),
    *(Probe(SLOPES, "linear", "reflection", x, slope=True) for x in (-1.0, 0.0)),
    *(Probe(EDGES, "linear", "border", x, slope=True) for x in (0.0, 4.0)),
    *(Probe(EDGES, "linear", "zeros", x, slope=True) for x in (-1.0, 4.0)),
)


def explain(one: str, other: str) -> None:
    """Print how two dialects differ, with an input for each difference.

    one, other  names of dialects: "torch", "onnx", "tensorflow", "scipy", "jax", "opencv",
                "torch7"; and "torch volumes", for there 5-D is not as 4-D
    Raises ValueError if there is none of such a name.
    """
    print("\n".join(_lines(one, other)))


def differences(one: str, other: str) -> list[Difference]:
    """Every probe to which two dialects give different answers, of those that both can be asked."""
    a, b = dialect_of(one), dialect_of(other)
    found = []
    for probe in PROBES:
        if asked(a, probe) is None or asked(b, probe) is None:
            continue
        values = answer(a, probe), answer(b, probe)
        if not np.isclose(*values, rtol=1e-12, equal_nan=True):
            calls = _call(one, a, probe), _call(other, b, probe)
            found.append(Difference(probe, values, calls))
    return found


def dialect_of(name: str) -> Dialect:
    """The record of a dialect."""
    module, _, volumes = choice("dialect", name, NAMES).partition(" ")
    found: Dialect = getattr(
        import_module(f"stn_ref.oracle.{module}"), volumes.upper() or "DIALECT"
    )
    return found


def asked(dialect: Dialect, probe: Probe) -> dict[str, Any] | None:
    """The options that ask for a probe; None if the dialect has no such kernel or padding."""
    padding = {} if probe.padding is None else dialect.paddings.get(probe.padding)
    kernel = dialect.kernels.get(probe.kernel)
    return None if padding is None or kernel is None else kernel | padding


def answer(dialect: Dialect, probe: Probe) -> float:
    """What a dialect says, in pixels: the value, or its derivative in x."""
    known, options = sampler_of(dialect.function), asked(dialect, probe) or {}
    U, xy = asked_of(probe, dialect.axes)
    defaults = {"align_corners": False} | options
    s = known.translate(*known.arrange(U, xy, defaults), **options)
    if not probe.slope:
        return float(exact.value(s).item())
    _, dp = exact.gradient(s, np.ones((*s.p.shape[:-1], 1)))
    return float(dp.flat[0] / s.slope[0])


def asked_of(probe: Probe, axes: int = 2) -> tuple[Array, Array]:
    """The row, twice along the other axes, and the point.

    As long a row as makes normalised points exact.
    """
    row = ROW[:4] if probe.padding == "symmetric" else ROW
    U, xy = np.tile(row, (1, *[2] * (axes - 1), 1)), np.zeros((*[1] * (axes + 1), axes))
    xy[..., 0] = probe.x
    return U[..., None], xy


def _call(name: str, dialect: Dialect, probe: Probe) -> str:
    options = ", ".join(f"{key}={value!r}" for key, value in (asked(dialect, probe) or {}).items())
    module, _, volumes = name.partition(" ")
    given = ", ".join(["5-D …" if volumes else "…", *[options] * bool(options)])
    return f"{module}.{dialect.function.__name__}({given})"


def _lines(one: str, other: str) -> Iterator[str]:
    names, pair = (one, other), (dialect_of(one), dialect_of(other))
    width = max(map(len, names))
    yield f"{one} and {other}"
    yield ""
    for name, dialect in zip(names, pair, strict=True):
        yield f"  {name:{width}}  {dialect.points}"
    for kind in ("kernels", "paddings"):
        has = [getattr(dialect, kind) for dialect in pair]
        for name, mine, theirs in zip(names, has, reversed(has), strict=True):
            if alone := [word for word in mine if word not in theirs]:
                yield f"  only {name} has {', '.join(alone)}"
    found = differences(one, other)
    for topic in dict.fromkeys(d.probe.topic for d in found):
        yield f"\n{topic}"
        for name, dialect in zip(names, pair, strict=True):
            yield f"  {name:{width}}  {dialect.rules[topic]}"
        for difference in found:
            if difference.probe.topic == topic:
                yield from _shown(difference)
    if found:
        row = ", ".join(f"{u:g}" for u in ROW)
        yield f"\nPixels {row} in a row; in a row of four where it mirrors about edges."
    else:
        yield "\nno difference on anything that both can be asked"


def _shown(difference: Difference) -> Iterator[str]:
    probe = difference.probe
    what = "slope" if probe.slope else "value"
    yield f"    {what} at x = {probe.x:g}"
    for call, value in zip(difference.calls, difference.values, strict=True):
        yield f"      {value:<8.6g} {call}"
