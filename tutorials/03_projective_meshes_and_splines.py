# %% [markdown]
# # Projective maps, meshes and splines
#
# Plane projective transformations, piecewise affine ones, thin plate splines, or any parameterised
# form, provided that it is differentiable with respect to the parameters: §3.2 of the paper says it
# in passing. This page writes each in a few lines, draws them on one digit, bends one, builds one
# that is nobody's yet, and runs one after another without sampling in between.
#
# About six seconds: `python tutorials/03_projective_meshes_and_splines.py`.

# %%
import numpy as np

import stn_ref
from stn_ref import equations as eq
from stn_ref import plots
from stn_ref.plots import diagrams, examples, galleries
from stn_ref.plots.explore import explore
from stn_ref.plots.output import out

U, G = examples.a_digit(2), eq.target_grid((20, 20))
points = np.concatenate([G, np.ones((20, 20, 1))], axis=-1)  # (x^t, y^t, 1)

# %% [markdown]
# ## Projective: a matrix and a division
#
# $(p, q, w)^T = H_\theta\,(x^t, y^t, 1)^T$ and $(x^s, y^s) = (p/w,\, q/w)$. Eight numbers, for
# $h_{33}$ is 1. Straight lines stay straight, but parallel ones may meet: it is how a plane looks
# from aside. Where $w = 0$ is the horizon, and nothing comes from there.

# %%
theta = np.array([0.9, 0.2, 0, -0.1, 0.8, 0.1, 0.3, -0.2])
H = np.append(theta, 1).reshape(3, 3)
pqw = points @ H.T
assert np.allclose(pqw[..., :2] / pqw[..., 2:], eq.PROJECTIVE.grid(theta[None], G)[0])

# %% [markdown]
# ## Piecewise affine: a triangle mesh whose corners move
#
# $\theta$ is where the vertices go. Inside a triangle the map is the one affine map that takes its
# three corners along. A point $p$ of the triangle is a mean of its corners, $p = \sum_k \lambda_k
# v_k$ with $\sum_k \lambda_k = 1$; these are three equations for three weights λ. The affine map
# keeps the weights, so
#
# $$T_\theta(p) = \sum_k \lambda_k(p)\,\theta_k$$
#
# Lines break where triangles meet. Here is a mesh of one triangle:

# %%
vertices, theta = np.array([[-1.0, -1], [1, -1], [0, 1]]), np.array([[-0.8, -1], [1, -0.7], [0, 1]])
corners = np.vstack([vertices.T, [1, 1, 1]])  # a column for each
weights = points @ np.linalg.inv(corners).T  # λ
mesh = eq.piecewise_affine(vertices, [[0, 1, 2]])
assert np.allclose(weights @ theta, mesh.grid(theta[None], G)[0])

# %% [markdown]
# ## Thin plate splines: a metal sheet
#
# Pin a thin sheet of metal at a few points $c_k$ and pull the pins to new heights: the sheet bends
# as little as it can. One such sheet is $x^s$, another $y^s$. What bending costs is
#
# $$\int f_{xx}^2 + 2 f_{xy}^2 + f_{yy}^2$$
#
# Where is it least? Move $f$ by any small bump between the pins; if nothing is to be gained, then
# after integrating by parts twice $\Delta\Delta f = 0$ there, where $\Delta f = f_{xx} + f_{yy}$.
# So we look for what one pin does: a function of the distance $r$ to it, with
# $\Delta\Delta f = 0$ except at $r = 0$. For such functions $\Delta f = f'' + f'/r$, and
#
# $$\Delta (r^2 \log r) = (2 \log r + 3) + (2 \log r + 1) = 4 \log r + 4, \qquad
# \Delta (4 \log r + 4) = -\frac{4}{r^2} + \frac{4}{r^2} = 0$$
#
# That is the paper's radial function, $U(r) = r^2 \log r$ (not to be confused with the map $U$).
# Tilting and lifting the whole sheet costs nothing, for an affine function has no second
# derivatives; so an affine part is free, and the sheet is
#
# $$f(p) = \sum_k w_k\,U(|p - c_k|) + a_x x + a_y y + a_1$$
#
# Each pin gives an equation, $f(c_k) = \theta_k$. There are three unknowns more than pins. Three
# conditions keep $w$ from imitating an affine map far away, where the sheet would go on bending:
# $\sum_k w_k = 0$ and $\sum_k w_k c_k = 0$. All is linear in $\theta$:


# %%
def bend(p, c):
    """r² log r, from every point to every pin; 0 at the pin itself."""
    r2 = np.sum((p[..., None, :] - c) ** 2, axis=-1)
    return 0.5 * r2 * np.log(np.where(r2 == 0, 1, r2))


# %%
spline, theta = examples.a_spline()  # 4 × 4 pins on [−1, 1]², and where they go
c = spline.identity()
P = np.column_stack([c, np.ones(16)])
system = np.block([[bend(c, c), P], [P.T, np.zeros((3, 3))]])
w_and_a = np.linalg.solve(system, np.vstack([theta, np.zeros((3, 2))]))
sheets = np.concatenate([bend(G, c), points], axis=-1) @ w_and_a
assert np.allclose(sheets, spline.grid(theta[None], G)[0])
print(plots.save(diagrams.spline(U, theta, spline), out / "spline.png"))

# %% [markdown]
# How many digits the system may cost is its condition number. The library solves it once, for
# $\theta$ comes in last: $T_\theta(p) = B(p)\,\theta$, with a basis $B$ that only the pins decide.

# %%
print(f"condition of the 4 × 4 spline: {eq.spline_condition():.0f}")

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
# break on its green edges and nowhere else; at the spline, whose lines never break. The last two
# are compositions, to which we come.

# %%
for title, transformation, example in examples.every_transformation():
    print(f"{title:<34} θ {example.shape}, a matrix: {transformation.matrix is not None}")
figure = galleries.warped_grids(U, examples.every_transformation(), examples.MESH[1])
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
# ## Exercises
#
# **1. Predict.** All sixteen pins of a spline move by (0.3, −0.1). What is the largest of the
# bending weights $|w_k|$?

# %%
largest = None
if largest is not None:
    assert largest == 0, "what does it cost a sheet to be moved as a whole?"
    c = eq.thin_plate_spline().identity()
    P, moved = np.column_stack([c, np.ones(16)]), c + [0.3, -0.1]
    system = np.block([[bend(c, c), P], [P.T, np.zeros((3, 3))]])
    w = np.linalg.solve(system, np.vstack([moved, np.zeros((3, 2))]))[:16]
    assert np.max(np.abs(w)) < 1e-12
    print("nothing bends; the affine part does it all")

# %% [markdown] solution
# ```python
# largest = 0
# ```

# %% [markdown]
# **2. Compute.** A projective map with $\theta$ = (1, 0, 0, 0, 1, 0, h, 0) tilts the plane about
# its vertical axis. For which $h > 0$ does the horizon, where $w = 0$, touch the left edge
# $x^t = -1$?

# %%
h = None
if h is not None:
    tilt = np.array([[1, 0, 0, 0, 1, 0, h, 0]], float)
    w = h * -1 + 1
    assert w == 0, f"w = h x + 1 is {w:g} at x = −1"
    assert not np.isfinite(eq.PROJECTIVE.grid(tilt, np.array([[[-1.0, 0.5]]]))).any()
    print("the horizon")

# %% [markdown] solution
# ```python
# h = 1.0
# ```

# %% [markdown]
# **3. Extend.** Undo a projective map: write `undone(theta)`, from eight numbers to the eight of
# its inverse. (Nine numbers and any multiple of them are the same map.)

# %%
undone = None  # a function of θ (8,)
if undone is not None:
    there = np.array([0.9, 0.2, 0.1, -0.1, 0.8, 0.1, 0.3, -0.2])
    back = np.asarray(undone(there), float)
    assert back.shape == (8,), f"shape {back.shape}; divide by the ninth number, then leave it out"
    G = eq.target_grid((5, 5))
    home = eq.PROJECTIVE.grid(back[None], eq.PROJECTIVE.grid(there[None], G))[0]
    assert np.allclose(home, G), "the inverse of the 3 × 3 matrix, divided by its last entry"
    print("there and back")

# %% [markdown] solution
# ```python
# def undone(theta):
#     H = np.linalg.inv(np.append(theta, 1).reshape(3, 3))
#     return (H / H[2, 2]).ravel()[:8]
# ```
