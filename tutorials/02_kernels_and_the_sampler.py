# %% [markdown]
# # Kernels and the sampler
#
# The source points of §3.2 fall between pixels. §3.3 of the paper says how to read a feature map
# there: every pixel is weighed by a kernel of its distance, once for each axis,
#
# $$V_i^c = \sum_n \sum_m U_{nm}^c\, k(x_i - m; \Phi_x)\, k(y_i - n; \Phi_y) \qquad \text{Eq. 3}$$
#
# This page looks at the kernels, follows one pixel through the sum, and shows what the choice of
# $k$ does to a digit. About two seconds: `python tutorials/02_kernels_and_the_sampler.py`.

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

# %% [markdown]
# ## A kernel is a row of data
#
# Eq. 4 takes the nearest pixel, Eq. 5 is the hat $\max(0, 1 - |t|)$ of bilinear sampling. A kernel
# here is a record: $k$, its derivative, its derivative for each parameter in $\Phi$, its support.
# Whoever wants another writes another row, and the sampler need not know.

# %%
for _, rows in demo.kernel_groups():
    for row in rows:
        weights = row.k(0.25 - np.arange(-1, 3), row.Phi).round(4) + 0.0
        print(f"{row.name:>14}{row.Phi!s:<9} weights of m = -1..2 at x = 0.25:", weights)
print(plots.save(galleries.kernels(demo.kernel_groups()), out / "kernels.png"))

# %% [markdown]
# Look at the lower row. The derivative of Eq. 4 is 0 everywhere, so no gradient reaches $\theta$
# through it. That of Eq. 5 jumps at $t = -1, 0, 1$, which is to say at every integer $x$: the next
# page is about those jumps. Keys' cubic has none. `normalised` divides a kernel by the sum of its
# weights, so that a flat image stays flat; Φ keeps its gradient.
#
# ## Eq. 3 as printed, and as it is computed
#
# The double sum runs over *all* pixels, for each output pixel. `sample_dense` is just that. The
# kernels end after a pixel or two, so `sample` visits only the taps within reach.

# %%
U = demo.a_digit(2)[None]
xy = np.array([[[[17.3, 10.8]]]])  # one source point, (x, y) in pixels
print("every pixel:", eq.sample_dense(U, xy).item())
print("four taps:  ", eq.sample(U, xy).item())

# %% [markdown]
# ## One pixel through all equations
#
# `trace` prints the paper run for one output pixel: its place in $G$, its source point, each tap's
# weight (Eq. 6) and its term in $V$ (Eq. 3) and in the slopes (Eq. 7).

# %%
theta, size = demo.a_crop()
traced = stn_ref.trace(U, theta, at=(0, 6, 11), size=size)
print(traced)
V = stn_ref.transform(U, theta, size=size)
print(plots.save(diagrams.trace(traced, U[0], V[0]), out / "trace.png"))

# %% [markdown]
# In the picture the discs' areas are the weights. The nearest tap weighs most, and the four sum
# to one.
#
# ## What the kernel does to a picture
#
# The same crop, a quarter of the digit on 56 × 56 pixels, read with five kernels. Look at the
# stairs of Eq. 4, at the soft creases of Eq. 5 through pixel centres, at the pale rims that Keys'
# negative lobes leave (white is below zero), and at the blur of a hat that reaches two pixels
# either way (divided by four, for it sums to two along each axis).

# %%
crop, size = np.array([[0.5, 0.1, -0.1]]), (56, 56)
kernels = [eq.INTEGER, eq.BILINEAR, eq.keys(-0.75), eq.keys(-0.5), eq.hat(2)]
images = [
    stn_ref.transform(U, crop, transformation=eq.ATTENTION, size=size, kernel=kernel)[0]
    / (4 if kernel.name == "hat" else 1)
    for kernel in kernels
]
titles = ["Eq. 4", "Eq. 5", "keys(−¾)", "keys(−½)", "hat(2)/4"]
figure = plots.compare(images, titles, "Eq. 3  one crop, five kernels")
print(plots.save(figure, out / "sampling.png"))

# %% [markdown]
# ## Exercise
#
# Eq. 3 has a $\Phi$ for each axis. Sample the crop with Eq. 4 along $x$ and Eq. 5 along $y$; the
# result should have stairs in one direction only. Replace `None`: the assertion looks for equal
# neighbours along $x$.

# %%
pair = None  # (?, ?)
if pair is not None:
    V = stn_ref.transform(U, crop, transformation=eq.ATTENTION, size=size, kernel=pair)[0, ..., 0]
    repeats_x, repeats_y = (np.mean(np.diff(V, axis=axis) == 0) for axis in (1, 0))
    assert repeats_x > repeats_y + 0.1
    print("stairs along x")
