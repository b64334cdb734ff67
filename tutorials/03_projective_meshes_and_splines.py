# %% [markdown]
# # Projective maps, meshes and splines
#
# Plane projective transformations, piecewise affine ones, thin plate splines, or any parameterised
# form, provided that it is differentiable with respect to the parameters: §3.2 of the paper says it
# in passing. This page draws them on one digit, bends one, builds one that is nobody's yet, and
# runs one after another without sampling in between.
#
# About five seconds: `python tutorials/03_projective_meshes_and_splines.py`.

# %%
import sys
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import numpy as np

import stn_ref
from stn_ref import equations as eq
from stn_ref import files, plots
from stn_ref.plots import diagrams, examples, galleries
from stn_ref.plots.explore import explore

out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "figures"
files.writable_directory(out)
U = examples.a_digit(2)

# %% [markdown]
# ## Projective: a matrix and a divide
#
# $(p, q, w)^T = H_\theta\,(x^t, y^t, 1)^T$ and $(x^s, y^s) = (p/w,\, q/w)$. Eight numbers, for
# $h_{33}$ is 1. Straight lines stay straight, but parallel ones may meet: it is how a plane looks
# from aside. Where $w = 0$ is the horizon, and nothing comes from there.
#
# ## Piecewise affine: a triangle mesh whose corners move
#
# $\theta$ is where the vertices go. Inside a triangle the map is the one affine map that takes its
# three corners along. With the barycentric coordinates $\lambda_k(p)$ of a point $p$ in its
# triangle, $T_\theta(p) = \sum_k \lambda_k(p)\,\theta_k$. Lines break where triangles meet.
#
# ## Thin plate splines: a metal sheet
#
# Pin a thin sheet of metal at a few points and pull the pins to new heights: the sheet bends as
# little as it can. One such sheet is $x^s$, another $y^s$:
#
# $$T_\theta(p) = \sum_k w_k\,U(|p - c_k|) + a_0 + a_x x + a_y y, \qquad U(r) = r^2 \log r$$
#
# The $w$ and $a$ are linear in $\theta$, the positions of the pins, so the system is solved once.
# How many digits that may cost is the system's condition number:

# %%
print(f"condition of the 4 x 4 spline: {eq.spline_condition():.0f}")

spline, theta = examples.a_spline()
print(plots.save(diagrams.spline(U, theta, spline), out / "spline.png"))

# %% [markdown]
# Open dots are the control points $c_k$ on the output's lattice, arrows lead to $\theta_k$, and the
# warped grid passes through every arrow's head. The next picture moves: $\theta$ goes from the
# identity to there and back. Look at the lines between the pins. They bend as far as they must and
# break nowhere.

# %%
print(diagrams.bending(U, theta, spline, out / "spline.gif"))

# %% [markdown]
# ## All of them, on one page
#
# Look at the projective grid, whose lines stay straight but not parallel; at the mesh, whose lines
# break on the diagonals and nowhere else; at the spline, whose lines never break. The last two are
# compositions, to which we come.

# %%
for title, transformation, example in examples.every_transformation():
    print(f"{title:<34} θ {example.shape}, a matrix: {transformation.matrix is not None}")
figure = galleries.warped_grids(U, examples.every_transformation())
print(plots.save(figure, out / "every_transformation.png"))

# %% [markdown]
# ## Composition, and why not to sample twice
#
# `compose(outer, inner)` is $T(G) = \mathrm{outer}(\mathrm{inner}(G))$, with both their $\theta$ in
# a row and the chain rule for a backward pass. Points go through both maps; the image is read once.
# The other way, to warp the image and then to warp the result, reads it twice, and every reading
# between pixels blurs. Below, a digit is turned by 30° twelve times, which is a full turn and
# should change nothing.

# %%
step = np.array([[np.deg2rad(30)]])
V = U[None]
for _ in range(12):
    V = stn_ref.transform(V, step, transformation=eq.ROTATION)

turn, angles = eq.ROTATION, step
for _ in range(11):
    turn, angles = eq.compose(turn, eq.ROTATION), np.hstack([angles, step])
once = stn_ref.transform(U[None], angles, transformation=turn)
images = [U, V[0], once[0]]
names = ["$U$", "read twelve times", "twelve maps, read once"]
print(plots.save(plots.compare(images, names, "§3.2  twelve turns by 30°"), out / "compose.png"))

# %% [markdown]
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
rng = np.random.default_rng(4)
report = stn_ref.check_gradients(
    swirl.grid, swirl.grid_backward, rng.uniform(-1, 1, (2, 1)), eq.target_grid((4, 5)), rng=rng
)
print(report)
report.raise_if_wrong()

figure = galleries.warped_grids(
    U, [(f"swirl, θ = {t:g}", swirl, np.array([t])) for t in (1.0, 2.5)]
)
print(plots.save(figure, out / "swirl.png"))

# %% [markdown]
# It now goes wherever `AFFINE` goes: into `stn_ref.transform`, into `compose`, into a network.
#
# ## Play
#
# `python -m stn_ref explore` opens a window with all of these: move the sliders, or drag corners
# and control points, and the grid, the output and the gradient's arrows follow. Here is what it
# shows at first.

# %%
explore(save=out / "explore.png")

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
