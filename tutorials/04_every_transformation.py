# %% [markdown]
# # Every transformation
#
# "Plane projective transformations, piecewise affine, thin plate splines, or any parameterised
# form, provided that it is differentiable with respect to the parameters": §3.2 of the paper, in
# one sentence. This page draws them all on one digit, builds one that is nobody's yet, and then
# looks at two questions that every warp raises: what lies outside the image, and what happens when
# it shrinks.
#
# About three seconds: `python tutorials/04_every_transformation.py`.

# %%
import sys
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import numpy as np

import stn_ref
from stn_ref import demo, diagrams, galleries, plots
from stn_ref import equations as eq

out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "figures"
demo.writable_directory(out)
rng = np.random.default_rng(4)
U = demo.a_digit(2)

# %% [markdown]
# ## Projective: a matrix and a divide
#
# $(p, q, w)^T = H_\theta (x^t, y^t, 1)^T$ and $(x^s, y^s) = (p/w, q/w)$. Eight numbers, for
# $h_{33}$ is 1. Parallel lines may meet.
#
# ## Piecewise affine: a triangle mesh whose corners move
#
# $\theta$ is where the vertices go. Inside a triangle the map is the one affine map that takes its
# three corners along: barycentric coordinates, $T_\theta(p) = \sum_k \lambda_k(p)\,\theta_k$.
#
# ## Thin plate splines: a metal sheet
#
# Pin a thin sheet of metal at a few points and pull the pins to new heights: the sheet bends as
# little as it can. One such sheet is $x^s$, another $y^s$:
#
# $$T_\theta(p) = \sum_k w_k\,U(|p - c_k|) + a_0 + a_x x + a_y y, \qquad U(r) = r^2 \log r$$
#
# The $w$ and $a$ are linear in $\theta$, the pins' positions, so the system is solved once. How
# many digits that may cost is the system's condition number:

# %%
print(f"condition of the 4 x 4 spline: {eq.spline_condition():.0f}")

spline, theta = demo.a_spline()
print(plots.save(diagrams.spline(U, theta, spline), out / "spline.png"))

# %% [markdown]
# In the picture the open dots are the control points $c_k$, the arrows lead to $\theta_k$, and the
# warped grid passes through every arrow's head.
#
# ## One of your own
#
# A transformation is a record of functions. Here is a swirl: points turn by an angle that falls
# off with their distance from the centre. Grid, backward pass, identity; the checker has the last
# word.

# %%


def swirl_grid(theta, G):
    a = theta[:, None, None] * np.exp(-2 * np.sum(G**2, axis=-1, keepdims=True))
    return np.cos(a) * G + np.sin(a) * G[..., ::-1] * [-1, 1]


def swirl_grid_backward(dgrid, theta, G):
    fall = np.exp(-2 * np.sum(G**2, axis=-1, keepdims=True))
    a, turned = theta[:, None, None] * fall, G[..., ::-1] * [-1, 1]
    da = np.sum(dgrid * (np.cos(a) * turned - np.sin(a) * G), axis=-1, keepdims=True)
    dG = np.cos(a) * dgrid + np.sin(a) * (dgrid * [-1, 1])[..., ::-1]
    dG = dG - 4 * G * fall * theta[:, None, None] * da
    return np.sum(da * fall, axis=(1, 2)), dG if G.ndim == 4 else dG.sum(axis=0)


swirl = eq.Transformation("swirl", lambda: np.zeros(1), swirl_grid, swirl_grid_backward)
examples = [(f"swirl, θ = {t:g}", swirl, np.array([t])) for t in (1.0, 2.5)]
print(plots.save(galleries.warped_grids(U, examples), out / "swirl.png"))
report = stn_ref.check_gradients(
    swirl.grid, swirl.grid_backward, rng.uniform(-1, 1, (2, 1)), eq.target_grid((4, 5)), rng=rng
)
print(report)
report.raise_if_wrong()

# %% [markdown]
# ## All of them, on one page
#
# `compose(outer, inner)` runs one transformation after another *without sampling in between*: the
# last pair turns and then bends, and the digit is read once.

# %%
for title, transformation, theta in demo.every_transformation():
    print(f"{title:<34} θ {theta.shape}, a matrix: {transformation.matrix is not None}")
figure = galleries.warped_grids(U, demo.every_transformation())
print(plots.save(figure, out / "every_transformation.png"))

# %% [markdown]
# Look at the projective grid, whose lines stay straight but not parallel; at the mesh, whose lines
# break on the diagonals and nowhere else; at the spline, whose lines never break.
#
# ## Outside
#
# Eq. 3 says nothing about points outside the image. Six answers are in use. Here is a part of the
# digit, turned and seen from afar under each, by the nearest pixel and with its own edge drawn in:
# inside they agree. Look at where the strokes meet the frame: `border` drags them out; `symmetric`
# folds them back about the edge and so doubles the edge's pixels, `reflection` folds about their
# centres and does not; `wrap` starts again.

# %%
part, away, size = demo.a_part_from_afar()
print(plots.save(galleries.paddings(part, away, size), out / "paddings.png"))

# %% [markdown]
# ## Shrinking
#
# Bilinear sampling looks at four pixels, however far apart the samples are. Shrink by four and it
# skips most of the image: fine stripes come back as coarse ones that were never there. A hat as
# wide as the step between samples looks at all of it; `normalised` keeps its weights summing to
# one. Look at the rings: under Eq. 5 the fine ones come back as false centres; under the wide
# hat they fade to grey, as they should.

# %%
print(plots.save(galleries.shrinking(), out / "shrinking.png"))

# %% [markdown]
# ## Exercise
#
# A projective map with $\theta$ = (1, 0, 0, 0, 1, 0, h, 0) tilts the plane about its vertical axis.
# For which $h > 0$ does the horizon, where $w = 0$, touch the left edge $x^t = -1$? Replace `None`.

# %%
h = None
if h is not None:
    tilt = np.array([[1, 0, 0, 0, 1, 0, h, 0]], float)
    assert not np.isfinite(eq.PROJECTIVE.grid(tilt, np.array([[[-1.0, 0.5]]]))).any()
    print("the horizon")
