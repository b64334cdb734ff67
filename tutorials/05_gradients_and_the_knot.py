# %% [markdown]
# # Gradients and the knot
#
# A spatial transformer learns because the loss gradient flows back through the sampler: to the
# feature map (Eq. 6, on the page before), and to the source points (Eq. 7) and from there to
# $\theta$. This page derives Eq. 7, draws its pull as arrows, checks it by finite differences, and
# then looks at the integers, where Eq. 5 has its knots and where the print of Eq. 7 goes wrong.
#
# About three seconds: `python tutorials/05_gradients_and_the_knot.py`.

# %%
import matplotlib.pyplot as plt
import numpy as np

import stn_ref
from stn_ref import equations as eq
from stn_ref import plots
from stn_ref.plots import diagrams, examples, lecture
from stn_ref.plots.output import out
from stn_ref.proofs.knots import sampler_knots

rng = np.random.default_rng(7)

# %% [markdown]
# ## Eq. 7, derived
#
# A point's value is $V_i = \sum_{nm} U_{nm}\, k(x_i - m)\, k(y_i - n)$. Move it a little along $x$:
# of the three factors only $k(x_i - m)$ changes, at the rate $k'(x_i - m)$. So
#
# $$\frac{\partial V_i}{\partial x_i} = \sum_n \sum_m U_{nm}\, k'(x_i - m)\, k(y_i - n)$$
#
# and with $y$ it is the other factor's turn. What is $k'$ of the hat $\max(0, 1 - |t|)$, at
# $t = x_i - m$? Left of the pixel, where $-1 < t < 0$, the hat is $1 + t$ and rises: $+1$. Right of
# it, where $0 < t < 1$, it is $1 - t$ and falls: $-1$. Elsewhere it is flat. Of a point's two
# columns, the one ahead counts $+1$ and the one behind $-1$: the slope is a difference of
# neighbours.


# %%
def hat(t):
    return np.maximum(0, 1 - np.abs(t))


def hat_slope(t):
    """k′(t); on the knots t = −1, 0, 1 it is the slope to the right."""
    return 1.0 * ((t >= -1) & (t < 0)) - 1.0 * ((t >= 0) & (t < 1))


def slopes(U, x, y):
    """∂V/∂x and ∂V/∂y of one channel U (H, W) at one point.  Eq. 7"""
    n, m = np.arange(U.shape[0]), np.arange(U.shape[1])
    dx = hat(y - n) @ U @ hat_slope(x - m)
    dy = hat_slope(y - n) @ U @ hat(x - m)
    return dx, dy


# %%
digit = examples.a_digit(2)[None]
xy = np.array([[[[17.3, 10.8]]]])
_, dxy, _ = eq.sample_backward(np.ones((1, 1, 1, 1)), digit, xy)
assert np.allclose(slopes(digit[0, ..., 0], 17.3, 10.8), dxy.ravel())
print("∂V/∂x, ∂V/∂y =", dxy.ravel())

# %% [markdown]
# ## On to θ
#
# The rest of the way is tutorials 1 and 2 read backwards: $x = \tilde c\,x^s + c$ multiplies by
# $\tilde c$, and Eq. 1 collects $\sum_i dx_i^s\,(x_i^t, y_i^t, 1)$. `transform_backward` is these
# three lines and Eq. 6:

# %%
theta, G = np.array([[[0.9, 0.1, 0.05], [-0.2, 0.8, 0.1]]]), eq.target_grid((20, 20))
dV = rng.standard_normal((1, 20, 20, 1))
xy = eq.to_pixels(eq.AFFINE.grid(theta, G), (28, 28))
_, dxy, _ = eq.sample_backward(dV, digit, xy)
dgrid = 13.5 * dxy  # c̃ = (28 − 1)/2
dtheta = np.einsum("bijk,ijl->bkl", dgrid, np.concatenate([G, np.ones((20, 20, 1))], axis=-1))
assert np.allclose(dtheta, stn_ref.transform_backward(dV, digit, theta)[1])
print("dθ =", dtheta[0].round(1).tolist())

# %% [markdown]
# And with a localisation network it is the paper's Figure 2 walked backwards. Look at the left:
# $\partial L/\partial U$ arrives on two ways, since $U$ is what is read and what $f_{loc}$ has
# seen.

# %%
(crop, size), layers = examples.a_crop(), examples.layers_for(examples.a_crop()[0][0])
seen = [stn_ref.transform(digit, A, size=size)[0] for A in (crop, eq.AFFINE.identity()[None])]
figure = lecture.backwards(digit[0], layers, size, seen[0] - seen[1])
print(plots.save(figure, out / "backwards.png"))

# %% [markdown]
# ## Where the loss pulls
#
# A digit is read from a grid that lies aside, so that the output is shifted, and the loss is the
# squared error against the digit in its place. An arrow shows where descent would move a source
# point, $-\partial L/\partial(x, y)$; it is the brightness's slope at that point, times an error.

# %%
home = eq.to_pixels(eq.target_grid((28, 28))[None], (28, 28))
figure, axes = plt.subplots(1, 3, figsize=(8.4, 3.5), layout="constrained")
plots.show(digit[0], axes[0], "what $V$ should be")
for ax, aside in zip(axes[1:], (1.5, 9.5), strict=True):
    points = home + [aside, aside]
    error = eq.sample(digit, points) - digit
    _, dxy, _ = eq.sample_backward(error, digit, points)
    plots.gradient_field(digit[0], points[0], dxy[0], arrows=14, ax=ax)
    pull = -dxy.sum(axis=(0, 1, 2))
    middle, long = np.array([13.5, 13.5]) + aside, 10 * pull / np.linalg.norm(pull)
    ax.quiver(*middle, *long, color=plots.BLUE, scale=1, scale_units="xy", angles="xy", width=0.02)
    ax.set_title(f"the grid {aside} pixels aside", fontsize=10)
    ax.set(xlim=(-1, 37.5), ylim=(37.5, -1))
    print(f"{aside} pixels to the right and down: −dL/dt = {pull.round(1)}")
plots.headline(figure, "Eq. 7  where the loss pulls the source points")
print(plots.save(figure, out / "arrows.png"))

# %% [markdown]
# All arrows together move the grid: $\partial L/\partial t$ of a translation is their sum. Look at
# where there are none: on flat ground, white or black, a point has no reason to go anywhere. On the
# left the strokes still overlap with where they belong, and the sum, in blue, points home, up and
# to the left. On the right they do not overlap, and it does not. The gradient of a sampler knows
# what lies within a pixel, and nothing of what lies beyond.
#
# The whole loss over all translations shows how far that is, with descent from seven places. On the
# digit itself only the nearest start comes home; the ripples are the pixels, between which every
# reading is a little softer. A blurred copy has slopes that reach further, and five come home: it
# is why programs that align images begin with blurred ones.

# %%
starts = [(1.6, -2.3), (-3.4, 4.3), (5.6, 6.6), (-7.3, -4.4), (5.2, -10.6), (-2.6, 9.2), (9, -5.4)]
print(plots.save(lecture.basin(digit[0], starts), out / "basin.png"))

# %% [markdown]
# ## Checked off the knots
#
# `check_gradients` contracts the claim with random directions and compares it with a difference of
# Eq. 3:

# %%
U = rng.standard_normal((1, 5, 6, 2))
xy = rng.uniform(0, 4, (1, 3, 3, 2))
report = stn_ref.check_gradients(
    eq.sample, eq.sample_backward, U, xy, rng=rng, knots=sampler_knots()
)
print(report)

# %% [markdown]
# ## Why the checker has to know about knots
#
# $V(x)$ is piecewise linear. Off an integer its central difference is exact, whatever the step,
# until the step crosses the integer; then it measures a mean of two slopes and tells nothing. Look
# at the cliff in the picture: it stands at the distance to the nearest knot, here 0.03. Left of it
# there is rounding noise only, growing as the step shrinks.

# %%
x, steps = 2.03, np.logspace(-9, 0, 200)
row = np.array([10.0, 11, 14, 19, 26]).reshape(1, 1, 5, 1)


def V_at(x):
    return eq.sample(row, np.array([[[[x, 0.0]]]])).item()


claimed = eq.sample_backward(np.ones((1, 1, 1, 1)), row, np.array([[[[x, 0.0]]]]))[1][0, 0, 0, 0]
errors = [abs((V_at(x + h) - V_at(x - h)) / (2 * h) - claimed) for h in steps]
figure, ax = plt.subplots(figsize=(8.4, 3.2), layout="constrained")
ax.loglog(steps, np.maximum(errors, 1e-17), color=plots.BLUE)
ax.axvline(x - 2, color=plots.RED, ls="--", label="distance to the knot")
ax.set(xlabel="step $h$, pixels", ylabel="error of the difference")
ax.set_title(r"Eq. 7  $\partial V/\partial x$ at $x = 2.03$ against central differences")
ax.legend()
ax.grid(alpha=0.3)
print(plots.save(figure, out / "steps.png"))

# %% [markdown]
# ## On the knot
#
# At an integer $x$ there are two derivatives, from the left and from the right. `tie` says which
# one is wanted; `"central"` is their mean. The print of Eq. 7 is neither:
#
# $$0 \text{ if } |m - x| \ge 1; \quad 1 \text{ if } m \ge x; \quad -1 \text{ if } m < x$$
#
# drops both neighbours of an integer $x$ while the pixel at $m = x$ keeps its 1, so the sum is
# that pixel's value.

# %%
points = np.stack([np.arange(1.0, 4), np.zeros(3)], axis=-1)[None, None]
for tie in ("left", "right", "central", "paper"):
    slope = eq.sample_backward(np.ones((1, 1, 3, 1)), row, points, tie=tie)[1][0, 0, :, 0]
    print(f"{tie:>8}: ∂V/∂x at x = 1, 2, 3 of the row 10 11 14 19 26:", slope)

report = stn_ref.check_gradients(
    eq.sample, eq.sample_backward, U, np.round(xy), rng=rng, knots=sampler_knots()
)
print(report)

# %% [markdown]
# The identity is where every spatial transformer starts training, and there *every* point is on
# a knot. Look at the lower row of the picture: three edge images, and the digit itself. A network
# that trains on the last one pulls its grid by brightness, on a flat image too.

# %%
print(plots.save(diagrams.knot(examples.a_digit(2)), out / "knot.png"))

# %% [markdown]
# ## Exercises
#
# **1. Predict.** The row 10, 11, 14, 19, 26 is read at $x = 2.5$. What is $\partial V/\partial x$?

# %%
slope = None
if slope is not None:
    row = np.array([[10.0, 11, 14, 19, 26]])
    assert slope == slopes(row, 2.5, 0)[0], "the pixel ahead minus the pixel behind"
    print("19 − 14")

# %% [markdown] solution
# ```python
# slope = 5
# ```

# %% [markdown]
# **2. Compute.** All 784 points of an output have $\partial L/\partial x = 0.01$, in pixels. The
# input is 28 pixels wide, ±1 are its outer *edges*, and $\theta$ is a translation. What is
# $\partial L/\partial t_x$?

# %%
dt_x = None
if dt_x is not None:
    dxy = np.full((1, 28, 28, 2), 0.01)
    dgrid = eq.to_pixels_backward(dxy, (28, 28), align_corners=False)
    right = eq.TRANSLATION.grid_backward(dgrid, np.zeros((1, 2)), eq.target_grid((28, 28)))[0][0, 0]
    assert not np.isclose(dt_x, 7.84), "t_x is not in pixels: c̃ is missing"
    assert not np.isclose(dt_x, 7.84 * 13.5), "that is c̃ between centres"
    assert np.isclose(dt_x, right), "the sum over all points, times c̃"
    print("one unit of t_x is 14 pixels")

# %% [markdown] solution
# ```python
# dt_x = 784 * 0.01 * 14
# ```

# %% [markdown]
# **3. Extend.** On the knots a claim is only required to lie between the one-sided derivatives.
# Write a backward pass that returns a fifth, legal choice, 0.9 of the right one and 0.1 of the left
# one (call `eq.sample_backward` twice); `check_gradients` should accept it and say "in between".

# %%
mixed = None  # a function of (dV, U, xy) that returns (dU, dxy)
if mixed is not None:
    U, xy = rng.standard_normal((1, 5, 6, 2)), rng.uniform(0, 4, (1, 3, 3, 2))
    report = stn_ref.check_gradients(
        eq.sample, mixed, U, np.round(xy), rng=rng, knots=sampler_knots()
    )
    assert report.ok, f"it is not between the slopes to the left and to the right:\n{report}"
    assert "in between" in str(report), "that is one of the two sides; mix them"
    print("accepted")

# %% [markdown] solution
# ```python
# def mixed(dV, U, xy):
#     right, left = (eq.sample_backward(dV, U, xy, tie=tie)[:2] for tie in ("right", "left"))
#     return [0.9 * r + 0.1 * l for r, l in zip(right, left, strict=True)]
# ```
