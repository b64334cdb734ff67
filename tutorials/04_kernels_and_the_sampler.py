# %% [markdown]
# # Kernels and the sampler
#
# The source points of §3.2 fall between pixels. §3.3 of the paper says how to read a feature map
# there: every pixel is weighed by a kernel of its distance, once for each axis,
#
# $$V_i^c = \sum_n \sum_m U_{nm}^c\, k(x_i - m; \Phi_x)\, k(y_i - n; \Phi_y) \qquad \text{Eq. 3}$$
#
# This page looks at the kernels, follows one pixel through the sum, and shows what the choice of
# $k$ does to a digit: inside, at its edges, and when it shrinks.
#
# About five seconds: `python tutorials/04_kernels_and_the_sampler.py`.

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
from stn_ref.plots import diagrams, examples, galleries

out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "figures"
files.writable_directory(out)
U = examples.a_digit(2)[None]

# %% [markdown]
# ## A kernel is a row of data
#
# Eq. 4 takes the nearest pixel, Eq. 5 is the hat $\max(0, 1 - |t|)$ of bilinear sampling. A kernel
# here is a record: $k$, its derivative, its derivative for each parameter in $\Phi$, its support.
# Whoever wants another writes another row, and the sampler need not know.

# %%
for _, rows in examples.kernel_groups():
    for row in rows:
        weights = row.k(0.25 - np.arange(-1, 3), row.Phi).round(4) + 0.0
        print(f"{row.name:>14}{row.Phi!s:<9} weights of m = -1..2 at x = 0.25:", weights)
print(plots.save(galleries.kernels(examples.kernel_groups()), out / "kernels.png"))

# %% [markdown]
# Look at the lower row. The derivative of Eq. 4 is 0 everywhere, so no gradient reaches $\theta$
# through it. That of Eq. 5 jumps at $t = -1, 0, 1$, which is to say at every integer $x$: the next
# page is about those jumps. Keys' cubic has none. `normalised` divides a kernel by the sum of its
# weights, so that a flat image stays flat.
#
# ## Eq. 3 as printed, and as it is computed
#
# The double sum runs over *all* pixels, for each output pixel. `sample_dense` is just that. The
# kernels end after a pixel or two, so `sample` visits only the taps within reach.

# %%
xy = np.array([[[[17.3, 10.8]]]])  # one source point, (x, y) in pixels
print("every pixel:", eq.sample_dense(U, xy).item())
print("four taps:  ", eq.sample(U, xy).item())

# %% [markdown]
# ## One pixel through all equations
#
# `trace` prints the paper run for one output pixel: its place in $G$, its source point, each tap's
# weight (Eq. 6) and its term in $V$ (Eq. 3) and in the slopes (Eq. 7). In the picture the discs'
# areas are the weights. Look at which tap weighs most: the nearest. The four sum to one.

# %%
theta, size = examples.a_crop()
traced = stn_ref.trace(U, theta, at=(0, 6, 11), size=size)
print(traced)
V = stn_ref.transform(U, theta, size=size)
print(plots.save(diagrams.trace(traced, U[0], V[0]), out / "trace.png"))

# %% [markdown]
# ## Inside: what the kernel does to a picture
#
# The same crop, a quarter of the digit on 56 × 56 pixels, read with five kernels. Look at the
# stairs of Eq. 4, at the soft creases of Eq. 5 through pixel centres, at the pale rims that Keys'
# negative lobes leave (white is below zero), and at the blur of a hat that reaches two pixels
# either way.

# %%
crop, size = np.array([[0.5, 0.1, -0.1]]), (56, 56)
kernels = {
    "Eq. 4": eq.INTEGER,
    "Eq. 5": eq.BILINEAR,
    "keys(−¾)": eq.keys(-0.75),
    "keys(−½)": eq.keys(-0.5),
    "wide hat": eq.normalised(eq.hat(2)),
}
images = [
    stn_ref.transform(U, crop, transformation=eq.ATTENTION, size=size, kernel=kernel)[0]
    for kernel in kernels.values()
]
axes = plots.compare(images, list(kernels), "Eq. 3  one crop, five kernels")
print(plots.save(axes, out / "sampling.png"))

# %% [markdown]
# ## Outside: paddings
#
# Eq. 3 says nothing about points outside the image. Six answers are in use. Here is a part of the
# digit, turned and seen from afar under each, by the nearest pixel and with its own edge drawn in:
# inside they agree. Look at where the strokes meet the frame: `border` drags them out; `symmetric`
# folds them back about the edge and so doubles the edge's pixels, `reflection` folds about their
# centres and does not; `wrap` starts again.

# %%
part, away, size = examples.a_part_from_afar()
print(plots.save(galleries.paddings(part, away, size), out / "paddings.png"))

# %% [markdown]
# ## Shrinking: aliasing
#
# Bilinear sampling looks at four pixels, however far apart the samples are. Shrink by four and it
# skips most of the image: fine stripes come back as coarse ones that were never there. A hat as
# wide as the step between samples looks at all of it. Look at the rings: under Eq. 5 the fine ones
# come back as false centres; under the wide hat they fade to grey, as they should.

# %%
print(plots.save(galleries.shrinking(), out / "shrinking.png"))

# %% [markdown]
# ## Φ can be learned
#
# The paper writes $k(\cdot\,; \Phi)$ and then lets $\Phi$ rest. But $V$ has a derivative in it,
# too, and `sample_backward` returns $\partial L/\partial \Phi$ with the rest. Below, a digit was
# blurred by a hat of 2.6 pixels either way, a width that we pretend not to know. Gradient descent
# on the squared error, from 1.2 and with a step length of 60 over the number of pixels, finds it.

# %%
xy = eq.to_pixels(eq.target_grid((28, 28))[None], (28, 28))
blurred = eq.sample(U, xy, kernel=eq.normalised(eq.hat(2.6)))
width, path = 1.2, []
for _ in range(50):
    kernel = eq.normalised(eq.hat(width))
    V = eq.sample(U, xy, kernel=kernel)
    _, _, (dx, dy) = eq.sample_backward(V - blurred, U, xy, kernel=kernel)
    path.append(width)
    width -= 60 / V.size * float((dx + dy).item())
print(f"width {width:.3f}")

before = eq.sample(U, xy, kernel=eq.normalised(eq.hat(1.2)))
figure, axes = plt.subplots(
    1, 4, figsize=(8.4, 2.6), layout="constrained", width_ratios=[1, 1, 1, 1.2]
)
names = "width 1.2", f"width {width:.2f}, found", "to be matched"
for ax, image, name in zip(axes, (before, V, blurred), names, strict=False):
    plots.show(image[0], ax, name, vmin=0, vmax=1)
axes[3].plot(path, "o-", color=plots.BLUE, ms=3)
axes[3].axhline(2.6, color=plots.RED, ls="--")
axes[3].set(title="width", xlabel="step")
figure.suptitle("§3.3  the kernel's own parameter, learned by $\\partial L/\\partial\\Phi$")
print(plots.save(figure, out / "phi.png"))

# %% [markdown]
# Look at the last panel: the width comes to rest where it should (dashed). On the way it leaps at
# 2, where the hat begins to reach two pixels more.
#
# ## Exercise
#
# Eq. 3 has a $\Phi$, and a kernel, for each axis. Sample a crop with Eq. 4 along $x$ and Eq. 5
# along $y$; the result should have stairs in one direction only. Replace `None`: the assertion
# looks for equal neighbours along $x$.

# %%
pair = None  # (?, ?)
if pair is not None:
    crop = np.array([[0.5, 0.1, -0.1]])
    V = stn_ref.transform(U, crop, transformation=eq.ATTENTION, size=(56, 56), kernel=pair)
    repeats_x, repeats_y = (np.mean(np.diff(V, axis=axis) == 0) for axis in (2, 1))
    assert repeats_x > repeats_y + 0.1
    print("stairs along x")
