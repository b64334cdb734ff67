# %% [markdown]
# # Gradients and the knot
#
# A spatial transformer learns because the loss gradient flows back through the sampler: to the
# feature map (Eq. 6), and to the source points (Eq. 7) and from there to $\theta$. This page draws
# that pull as arrows, checks it by finite differences, and then looks at the integers, where Eq. 5
# has its knots and where the print of Eq. 7 goes wrong.
#
# About two seconds: `python tutorials/05_gradients_and_the_knot.py`.

# %%
import sys
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np

import stn_ref
from stn_ref import equations as eq
from stn_ref import files, plots
from stn_ref.plots import diagrams, examples
from stn_ref.proofs.knots import sampler_knots

out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "figures"
files.writable_directory(out)
rng = np.random.default_rng(7)

# %% [markdown]
# ## Eqs. 6 and 7
#
# $\partial V_i^c / \partial U_{nm}^c = k(x_i - m)\,k(y_i - n)$, the weight of one pixel. (The print
# has a sum over $n, m$ in front, which are also the indices on the left: drop it.)
#
# $\partial V_i^c / \partial x_i = \sum_n \sum_m U_{nm}^c\, k'(x_i - m)\, k(y_i - n)$, where for
# the hat of Eq. 5 $k'$ is +1 left of the pixel and −1 right of it.
#
# ## Where the loss pulls
#
# A digit is read from a grid that lies aside, so that the output is shifted, and the loss is the
# squared error against the digit in its place. An arrow shows where descent would move a source
# point, $-\partial L/\partial(x, y)$; it is the brightness's slope at that point, times an error.

# %%
digit = examples.a_digit(2)[None]
home = eq.to_pixels(eq.target_grid((28, 28))[None], (28, 28))
figure, axes = plt.subplots(1, 2, figsize=(8.4, 4.4), layout="constrained")
for ax, aside in zip(axes, (1.5, 9.5), strict=True):
    points = home + [aside, aside]
    error = eq.sample(digit, points) - digit
    _, dxy, _ = eq.sample_backward(error, digit, points)
    plots.gradient_field(digit[0], points[0], dxy[0], arrows=28, ax=ax)
    ax.set(title=f"the grid lies {aside} pixels aside", xlim=(-1, 37.5), ylim=(37.5, -1))
    print(f"{aside} pixels to the right and down: −dL/dt = {-dxy.sum(axis=(0, 1, 2)).round(1)}")
figure.suptitle("Eq. 7  where the loss pulls the source points")
print(plots.save(figure, out / "arrows.png"))

# %% [markdown]
# All arrows together move the grid: $\partial L/\partial t$ of a translation is their sum. Look at
# where there are none: on flat ground, white or black, a point has no reason to go anywhere. On the
# left the strokes still overlap with where they belong, and the sum points home, up and to the
# left. On the right they do not overlap, and it does not. The gradient of a sampler knows what lies
# within a pixel, and nothing of what lies beyond.
#
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
# ## Exercise
#
# On the knots the claim is only required to lie between the one-sided derivatives. Write a
# backward pass that returns a fifth, legal choice, 0.9 of the right one and 0.1 of the left one
# (call `eq.sample_backward` twice); `check_gradients` should accept it and say "in between".
# Replace `None`.

# %%
mixed = None  # a function of (dV, U, xy) that returns (dU, dxy)
if mixed is not None:
    U, xy = rng.standard_normal((1, 5, 6, 2)), rng.uniform(0, 4, (1, 3, 3, 2))
    report = stn_ref.check_gradients(
        eq.sample, mixed, U, np.round(xy), rng=rng, knots=sampler_knots()
    )
    assert report.ok and "in between" in str(report)
    print("accepted")
