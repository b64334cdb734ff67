# %% [markdown]
# # Your own pictures
#
# So far everything was a digit. This page takes files: a photograph that lies on its side, a page
# that was photographed from aside and is put straight, a picture with transparency, a picture of
# sixteen bits, and the frames of a shaky film. File in, file out; put your own in their place.
#
# About ten seconds: `python tutorials/12_your_own_pictures.py`.

# %%
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import stn_ref
from stn_ref import equations as eq
from stn_ref import plots
from stn_ref.plots import examples
from stn_ref.plots.images import fitted, on_white, read_image, write_image
from stn_ref.plots.output import out

rng, files = np.random.default_rng(0), out / "files"
files.mkdir(exist_ok=True)

# %% [markdown]
# ## A photograph
#
# A camera writes its pixels as they lie on its sensor, and notes in the file's EXIF data how it was
# held. Whoever ignores the note sees the picture lie on its side. To have such a file, this cell
# writes one. (Its page was drawn for this tutorial, and its camera is Eq. 3.)

# %%
scene, _ = examples.a_photograph(rng)
held = Image.Exif()
held[0x0112] = 6  # orientation: turn it by a quarter to the right
on_the_sensor = Image.fromarray(np.rint(255 * np.rot90(scene)).astype(np.uint8))
on_the_sensor.save(files / "photograph.jpg", quality=95, exif=held)

photo = read_image(files / "photograph.jpg")
print(f"on the sensor {on_the_sensor.size[::-1]}, as it is read {photo.shape}")

# %% [markdown]
# `read_image` gives (H, W, C) from 0 to 1, turned upright. The sampler wants a batch:
# `photo[None]`.
#
# ## Putting a page straight
#
# A flat page seen by a camera is a plane under a projective map. Which one? Four points settle it:
# the output's corners, ±1, must come from where the page's corners are in the photograph. Read them
# off in any viewer, in pixels, clockwise from the upper left. (Replace file and corners by yours.)

# %%
corners = np.array([[150, 90], [560, 165], [500, 720], [50, 620]], float)
c = (np.array(photo.shape[1::-1]) - 1) / 2  # x = c x^s + c, so
source = (corners - c) / c
target = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], float)

# %% [markdown]
# Each point gives two equations. From $u = (h_1 x + h_2 y + h_3)/w$ with $w = h_7 x + h_8 y + 1$,
# multiplied out, $h_1 x + h_2 y + h_3 - u\,(h_7 x + h_8 y) = u$: linear in $h$. Eight equations for
# eight numbers:

# %%
rows, right = [], []
for (x, y), (u, v) in zip(target, source, strict=True):
    rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    right += [u, v]
theta = np.linalg.solve(rows, right)
assert np.allclose(eq.PROJECTIVE.grid(theta[None], target[None])[0, 0], source)

# %% [markdown]
# No inverse is needed, since $T_\theta$ leads from the output to the input anyway. The output's
# size is ours to choose: A4, 210 by 297 mm, three pixels a millimetre would be too much for this
# camera, two are not. `keys` is a little sharper than Eq. 5.

# %%
size = (594, 420)
page = stn_ref.transform(
    photo[None], theta[None], transformation=eq.PROJECTIVE, size=size, kernel=eq.keys(-0.5)
)[0]
print(write_image(files / "page.png", page))

figure, (left, straight) = plt.subplots(
    1, 2, figsize=(8.4, 5.6), layout="constrained", width_ratios=[640 / 800, 420 / 594]
)
plots.show(photo, left, "the photograph, and its page's corners", interpolation="antialiased")
left.plot(*np.vstack([corners, corners[:1]]).T, "o-", color=plots.BLUE, lw=1.5)
plots.show(page, straight, "put straight", interpolation="antialiased")
plots.headline(figure, "§3.2  a projective map from four points")
print(plots.save(figure, out / "rectified.png", dpi=100))

# %% [markdown]
# Look at the digit's frame: a square again. Look also at the lower half of the page, which was
# nearer to the camera: it is the sharper one. A map brings back shape, not detail.
#
# ## Transparency
#
# A picture with alpha has colours under its transparent pixels, too, mostly black ones that nobody
# is meant to see. A sampler does not know. At the edge it mixes them in, and the picture gets a
# dark rim. So multiply the colours by alpha first, sample, and divide again.

# %%
y, x = np.mgrid[-1:1:24j, -1:1:24j]
opaque = (x**2 + y**2 < 0.7)[..., None] * 1.0
sticker = np.concatenate([opaque * [0.9, 0.6, 0], opaque], axis=-1)  # black where transparent
write_image(files / "sticker.png", sticker)

U, turn = read_image(files / "sticker.png")[None], np.array([[1, 0.4, 0, 0]])


def larger(U):
    """Turned, on 120 × 120 pixels."""
    return stn_ref.transform(U, turn, transformation=eq.SIMILARITY, size=(120, 120))


def over_alpha(colours_times_alpha, alpha):
    """The colours of what is not quite transparent."""
    return np.divide(colours_times_alpha, alpha, out=0 * colours_times_alpha, where=alpha > 0)


straight = larger(U)[0]
multiplied = larger(np.concatenate([U[..., :3] * U[..., 3:], U[..., 3:]], axis=-1))[0]
alpha = multiplied[..., 3:]
mended = np.concatenate([over_alpha(multiplied[..., :3], alpha), alpha], axis=-1)
print(write_image(files / "sticker_turned.png", mended))
images = [on_white(image) for image in (U[0], straight, mended)]
names = ["with alpha, on white", "sampled as it is", "multiplied by alpha first"]
figure = plots.compare(images, names, "Eq. 3  transparency")
print(plots.save(figure, out / "alpha.png"))

# %% [markdown]
# Look at the rim in the middle: darker than the sticker, and than the paper. On the right there is
# none.
#
# ## Sixteen bits
#
# Microscopes and telescopes write grey pictures of sixteen bits. Read and written as such they keep
# their 65,536 steps; many a program makes 256 of them, silently.

# %%
faint = 0.2 + 0.001 * examples.a_digit(2)  # a thousandth of the range
write_image(files / "faint.png", faint, bits=16)
V = stn_ref.transform(read_image(files / "faint.png")[None], np.array([[[0.8, 0, 0], [0, 0.8, 0]]]))
print(write_image(files / "faint_zoomed.png", V[0], bits=16))
for bits in (8, 16):
    steps = len(np.unique(read_image(write_image(files / "again.png", faint, bits=bits))))
    print(f"written with {bits:2} bits the digit has {steps} greys")

# %% [markdown]
# ## A shaky film
#
# A film is a folder of frames (`ffmpeg -i film.mp4 frames/%04d.png`, and back with
# `ffmpeg -i steady/%04d.png steady.mp4`). Here are ten, each shifted by a few pixels of its own. To
# steady them, each frame needs the translation that brings it onto the first; and what a network
# learns by gradients, a single θ can, too. Descent needs overlap, so it looks at small, soft
# copies.

# %%
(files / "frames").mkdir(exist_ok=True)
shakes = np.vstack([[0, 0], rng.uniform(-0.04, 0.04, (9, 2))])
shaken = np.repeat(photo[None], 10, axis=0)
shaken = stn_ref.transform(shaken, shakes, transformation=eq.TRANSLATION, padding="border")
for k, frame in enumerate(shaken):
    write_image(files / "frames" / f"{k:04}.png", frame)


def onto(first, frame, steps=60):
    """θ of the translation that makes frame like first: descent on ½ Σ (V − first)²."""
    theta, step, options = np.zeros((1, 2)), 0.02, {"transformation": eq.TRANSLATION}

    def loss(theta):
        V = stn_ref.transform(frame[None], theta, padding="border", **options)
        return 0.5 * np.sum((V - first) ** 2), V - first

    L, dV = loss(theta)
    for _ in range(steps):
        _, dtheta = stn_ref.transform_backward(dV, frame[None], theta, padding="border", **options)
        ahead = theta - step * dtheta / np.linalg.norm(dtheta)
        if (found := loss(ahead))[0] < L:
            theta, (L, dV) = ahead, found
        else:
            step /= 2
    return theta[0]


paths = sorted((files / "frames").glob("*.png"))
small = [fitted(read_image(path).mean(axis=-1, keepdims=True), 100) for path in paths]
found = np.array([[0, 0], *(onto(small[0], frame) for frame in small[1:])])
steady = []
for path, theta in zip(paths, found, strict=True):
    frame = read_image(path)[None]
    V = stn_ref.transform(frame, theta[None], transformation=eq.TRANSLATION, padding="border")
    steady.append(V[0])
    write_image(files / "steady" / path.name, V[0])
off, most = (np.max(np.abs(moved) * c) for moved in (found + shakes, shakes))
print(f"shaken by up to {most:.1f} pixels, steadied to within {off:.1f}")

part = np.s_[90:330, 140:520]
images = [np.mean(film, axis=0)[part] for film in (shaken, steady)]
figure = plots.compare(images, ["shaken", "steadied"], "§3.2  the mean of ten frames")
print(plots.save(figure, out / "steadied.png"))

# %% [markdown]
# Look at the letters: the mean of frames is sharp where they lie on each other.
#
# ## Exercises
#
# **1. Predict.** A photograph of 4000 × 3000 pixels (W × H) has `align_corners=True`. Which $(x^s,
# y^s)$ is its middle, between pixels 1999 and 2000, and 1499 and 1500?

# %%
middle = None  # (?, ?)
if middle is not None:
    xy = eq.to_pixels(np.array([[[middle]]], float), (3000, 4000))[0, 0, 0]
    assert np.allclose(xy, [1999.5, 1499.5]), (
        f"that is pixel ({xy[0]:g}, {xy[1]:g}); ±1 are the ends"
    )
    print("whatever the size")

# %% [markdown] solution
# ```python
# middle = (0, 0)
# ```

# %% [markdown]
# **2. Compute.** The photograph above is to be a thumbnail of 80 × 64 pixels, without false
# patterns. A step of the output is then ten pixels of the input. Which kernel?

# %%
kernel = None
if kernel is not None:
    stripes = np.tile([1.0, 0, 1, 0, 0], 128)[None, :, None] * np.ones((800, 1, 1))
    options = {"size": (80, 64), "align_corners": False, "padding": "symmetric"}
    identity = eq.AFFINE.identity()[None]
    V = stn_ref.transform(stripes[None], identity, kernel=kernel, **options)
    assert abs(V.mean() - 0.4) < 0.01, "the stripes' mean is 0.4; `normalised` keeps it"
    assert np.ptp(V[:, :, 2:-2]) < 0.01, (
        "it should see all that lies between two steps: how wide is the hat?"
    )
    print("grey, as it should be")

# %% [markdown] solution
# ```python
# kernel = eq.normalised(eq.hat(10))
# ```

# %% [markdown]
# **3. Extend.** A wide lens pushes what is far from the middle inwards. Write `unbarrel(G, k)`, the
# grid of source points $(1 + k r^2)\,(x^t, y^t)$ with $r$ the distance from the middle. Such a grid
# goes straight into `stn_ref.sample`, after `to_pixels`.

# %%
unbarrel = None  # a function of G (H', W', 2) and k
if unbarrel is not None:
    G = eq.target_grid((5, 5))
    grid = unbarrel(G, -0.1)
    assert np.shape(grid) == (5, 5, 2), f"shape {np.shape(grid)}; r² needs to keep its last axis"
    assert np.allclose(grid[2, 2], 0), "the middle stays"
    assert np.allclose(grid[0, 0], -0.8), "at a corner r² = 2, so 1 + k r² is 0.8"
    xy = eq.to_pixels(grid[None], (28, 28))
    print(stn_ref.sample(examples.a_digit(2)[None], xy).shape, "without the barrel")

# %% [markdown] solution
# ```python
# def unbarrel(G, k):
#     return (1 + k * np.sum(G**2, axis=-1, keepdims=True)) * G
# ```
