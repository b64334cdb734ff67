"""Where in the array of whole numbers that every kernel takes each of them lies.

A kernel's arguments cost microseconds each, so shapes, strides and options travel in one array.
"""

from __future__ import annotations

POINTS, GROUPS, CHANNELS, PLANAR, RULE, TIE, BITS = range(7)
IN, OUT, XY, GRADIENT = 8, 16, 24, 32  # U, V or dV, xy, dU: each with
START, B_STEP, I_STEP, J_STEP, C_STEP, HEIGHT, WIDTH = range(7)
LENGTH = 40

FILL, AXES = 0, 1  # in the array of real numbers: fill, then x's and y's as of `rows.reals`
LANES = 4  # channels that a thread handles at once
