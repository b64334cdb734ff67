"""Random calls of grid_sample to compare with other frameworks, and the count of what agreed."""

from typing import NamedTuple

import numpy as np

PADDING_MODES = ("zeros", "border", "reflection")


class Call(NamedTuple):
    """images (N, C, H, W), grid (N, H', W', 2), the gradient of the output."""

    images: np.ndarray
    grid: np.ndarray
    grad_output: np.ndarray


def call(rng, dtype, aligned, least=1):
    """Small images; half of the coordinates on a pixel or halfway between two, many outside."""
    lows, highs = (1, 1, least, least, 1, 1), (3, 4, 9, 9, 6, 6)
    N, C, H, W, height, width = rng.integers(lows, highs)
    size = np.array([W, H])
    anywhere = rng.uniform(-1.6, 1.6, (N, height, width, 2))
    p = np.round(2 * rng.uniform(-3, size + 2, anywhere.shape)) / 2
    knots = 2 * p / np.maximum(size - 1, 1) - 1 if aligned else (2 * p + 1) / size - 1
    grid = np.where(rng.random(anywhere.shape) < 0.5, knots, anywhere).astype(dtype)
    U, dV = (rng.standard_normal((N, C, *s)).astype(dtype) for s in ((H, W), (height, width)))
    return Call(U, grid, dV)


class Tally:
    """How many cases were drawn and compared, and the worst error in units of its bound."""

    def __init__(self, name):
        self.name, self.drawn, self.values, self.gradients, self.worst = name, 0, 0, 0, 0.0

    def compare(self, found, expected, what):
        """Count one result; AssertionError if an element is outside its bound."""
        found = np.asarray(found, float)
        assert found.shape == expected.value.shape, what
        assert np.array_equal(np.isnan(found), np.isnan(expected.value)), what
        off = np.nan_to_num(abs(found - expected.value))
        units = np.where(off == 0, 0.0, off / np.maximum(expected.bound, 1e-300))
        self.worst = max(self.worst, float(units.max(initial=0.0)))
        assert units.max(initial=0.0) <= 1, f"{what}: {units.max():.3g} bounds off"

    def __str__(self):
        return (
            f"{self.name}: {self.drawn} cases drawn, 0 discarded, {self.values} values and "
            f"{self.gradients} gradients compared, worst {self.worst:.2f} of the bound"
        )
