"""Where in the array of whole numbers that every kernel takes each of them lies.

A kernel's arguments cost microseconds each, so shapes, strides and options travel in one array.
A map is a volume of depth 1, and a signal one pixel high too: an axis that is missing has the side
1 and the step 0, but kernels are compiled without it.
"""

from __future__ import annotations

POINTS, GROUPS, CHANNELS, PLANAR, RULE, TIE, BITS = range(7)
IN, OUT, XY, GRADIENT = 8, 17, 26, 35  # U, V or dV, xy, dU: each with
START, B_STEP, K_STEP, I_STEP, J_STEP, C_STEP, DEPTH, HEIGHT, WIDTH = range(9)
LENGTH = 44

FILL, AXES = 0, 1  # in the array of real numbers: fill, then x's, y's and z's as of `rows.reals`
LANES = 4  # channels that a thread handles at once
