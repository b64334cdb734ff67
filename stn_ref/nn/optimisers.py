"""How weights follow their gradients, and how fast over the course of training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import cos, pi
from typing import Any, TypeAlias

import numpy as np

from stn_ref.equations.arguments import Array, number, whole
from stn_ref.nn.layer import Params
from stn_ref.nn.trees import mapped, renamed

Schedule: TypeAlias = Callable[[int, float], float]  # of the step and how far training has come


@dataclass(frozen=True)
class Cosine:
    """A rate that rises for `warm_up` steps and then falls along a cosine, to 0 at the end."""

    peak: float
    warm_up: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        _at_least_0(self, "peak")
        whole("warm_up", self.warm_up, least=0)

    def __call__(self, step: int, progress: float) -> float:
        return _warm(step, self.warm_up) * self.peak * (1 + cos(pi * progress)) / 2


@dataclass(frozen=True)
class Steps:
    """A rate that is multiplied by `factor` after every so many steps, as in the paper."""

    peak: float
    every: int
    factor: float = 0.1
    warm_up: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        _at_least_0(self, "peak", "factor")
        whole("every", self.every)
        whole("warm_up", self.warm_up, least=0)

    def __call__(self, step: int, progress: float) -> float:
        return _warm(step, self.warm_up) * self.peak * self.factor ** (step // self.every)


def _warm(step: int, warm_up: int) -> float:
    return min(1.0, (step + 1) / warm_up) if warm_up else 1.0


@dataclass(frozen=True)
class SGD:
    """Down the slope, with momentum.

        v ← μ v + g,   w ← w − α v

    rate          α: a number, or a schedule
    momentum      μ
    localisation  multiplies α for the localisation networks of spatial transformers
    """

    rate: float | Schedule
    momentum: float = field(default=0.9, kw_only=True)
    localisation: float = field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        _at_least_0(self, "rate", "localisation")
        _at_least_0(self, "momentum", below=1)

    def initialise(self, params: Params) -> Params:
        return {"velocity": mapped(np.zeros_like, params)}

    def step(
        self, params: Params, dparams: Params, state: Params, step: int = 0, progress: float = 0.0
    ) -> tuple[Params, Params]:
        """New weights and a new state; the old ones stay as they are."""
        velocity = mapped(lambda v, g: self.momentum * v + g, state["velocity"], dparams)
        rates = _rates(self, params, step, progress)
        return mapped(lambda w, v, a: w - a * v, params, velocity, rates), {"velocity": velocity}


@dataclass(frozen=True)
class Adam:
    """Down the slope in units of its own recent size (Kingma and Ba 2015, Algorithm 1).

        m ← β₁ m + (1 − β₁) g,   v ← β₂ v + (1 − β₂) g²,   w ← w − α m̂ / (√v̂ + ε)

    with m̂ = m/(1 − β₁ᵗ) and v̂ = v/(1 − β₂ᵗ), t the number of the step from 1.

    rate          α: a number, or a schedule
    localisation  multiplies α for the localisation networks of spatial transformers
    """

    rate: float | Schedule = 1e-3
    beta1: float = field(default=0.9, kw_only=True)
    beta2: float = field(default=0.999, kw_only=True)
    epsilon: float = field(default=1e-8, kw_only=True)
    localisation: float = field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        _at_least_0(self, "rate", "localisation", "epsilon")
        _at_least_0(self, "beta1", "beta2", below=1)

    def initialise(self, params: Params) -> Params:
        return {"m": mapped(np.zeros_like, params), "v": mapped(np.zeros_like, params)}

    def step(
        self, params: Params, dparams: Params, state: Params, step: int = 0, progress: float = 0.0
    ) -> tuple[Params, Params]:
        """New weights and a new state; the old ones stay as they are."""
        b1, b2, t = self.beta1, self.beta2, step + 1
        m = mapped(lambda m, g: b1 * m + (1 - b1) * g, state["m"], dparams)
        v = mapped(lambda v, g: b2 * v + (1 - b2) * (g * g), state["v"], dparams)

        def moved(w: Array, m: Array, v: Array, rate: float) -> Array:
            return w - rate / (1 - b1**t) * m / (np.sqrt(v / (1 - b2**t)) + self.epsilon)

        return mapped(moved, params, m, v, _rates(self, params, step, progress)), {"m": m, "v": v}


def _rates(optimiser: SGD | Adam, params: Params, step: int, progress: float) -> Params:
    """α for each leaf."""
    rate = optimiser.rate
    alpha = float(rate(step, progress)) if callable(rate) else rate
    slowed = alpha * optimiser.localisation
    return mapped(lambda name: slowed if "f_loc" in name.split("/") else alpha, renamed(params))


def _at_least_0(record: Any, *names: str, below: float = np.inf) -> None:
    """Checks numbers, and makes them Python's: NumPy's would turn float32 weights to float64."""
    for name in names:
        value = getattr(record, name)
        if name == "rate" and callable(value):
            continue  # a schedule
        value = number(name, value)
        if not 0 <= value < below:
            raise ValueError(
                f"{name} is {value}; expected 0 or more{' and less than 1' * (below == 1)}"
            )
        object.__setattr__(record, name, value)
