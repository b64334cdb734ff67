"""Section 3 of the paper as printed: each equation is derived, is a function, and is settled."""

# %% [markdown]
# # Section 3 on one page
#
# In 2015 Jaderberg, Simonyan, Zisserman and Kavukcuoglu put a module into a network that looks at a
# feature map, decides how to warp it, and warps it (arXiv 1506.02025). This page is section 3 of
# their paper as NumPy: for each equation what the paper says there, the equation, a function that
# is the equation, and a line that settles it. Read it with the paper beside it; there is no other
# file to open. To stay short it takes maps in float64 with zeros around them, and checks no
# argument; `stn_ref.equations` has all the rest, and tests hold it to this page.
#
# | name | shape | what it is |
# |---|---|---|
# | `U`, `V` | (B, H, W, C), (B, H', W', C) | input and output feature maps, B images at once |
# | `theta` | (B, …) | the parameters θ of a transformation, one set an image |
# | `G` | (H', W', 2) | the regular grid of target points $(x^t, y^t)$, from −1 to 1 |
# | `grid` | (B, H', W', 2) | the source points $(x^s, y^s) = T_\theta(G)$, from −1 to 1 |
# | `xy` | (B, H', W', 2) | the source points in pixels, from 0 to W−1 and from 0 to H−1 |
# | `dU`, `dV`, … | as `U`, `V`, … | gradients of the loss: `dU` is $\partial L/\partial U$ |
#
# The paper counts output pixels with one letter, $i$; `einsum` needs two, `ij`. Its other letters:
# `b` image, `n` `m` row and column of `U`, `c` channel, `k` `l` coordinate.
#
# **How a gradient is settled.** Move every input of $f$ a little along a random direction $\dot x$,
# and weigh the outputs at random with $dy$. What a difference measures, the gradient must predict:
# $$\left\langle dy, \frac{f(x + h\dot x) - f(x - h\dot x)}{2h} \right\rangle
#   = \sum_{\text{inputs}} \langle dx, \dot x \rangle, \qquad dx = f_{\text{backward}}(dy, x)$$
# %%
from pathlib import Path

import numpy as np

rng = np.random.default_rng(0)
U = np.load(Path(__file__).with_name("data") / "digits.npz")["x_test"][:2, ..., None] / 255

def two_slopes(f, f_backward, *inputs, h=1e-6):
    """Both sides of that equation: measured, predicted."""
    dots = [rng.standard_normal(x.shape) for x in inputs]
    ahead, behind = (f(*(x + s * d for x, d in zip(inputs, dots, strict=True))) for s in (h, -h))
    dy = rng.standard_normal(ahead.shape)
    pairs = zip(f_backward(dy, *inputs), dots, strict=True)
    return np.sum(dy * (ahead - behind)) / (2 * h), sum(np.sum(dx * dot) for dx, dot in pairs)

def settle(claim, left, right):
    """Stop unless both sides agree; `python -m stn_ref paper` prints what it has settled."""
    left, right = np.asarray(left, float), np.asarray(right, float)
    apart = np.max(np.abs(left - right)) / max(1, np.max(np.abs(right)))
    assert apart < 1e-7, f"{claim}: {left} is not {right}"
    if __name__ == "__main__":
        found = f"{left.item():.7g}" if left.size == 1 else f"{left.size} numbers"
        print(f"{claim:<58} {found:>13}   apart by {apart:.0e}")

# %% [markdown]
# ## 3.1 Localisation network
#
# A network looks at `U` and answers with θ. It may have any form, fully connected or convolutional,
# as long as its last layer is a regression that puts out θ: six numbers for an affine map. Here it
# is a perceptron.
# $$\theta = f_{loc}(U):\quad h_0 = U,\quad h_l = \max(0, h_{l-1} W_l + b_l),\quad
#   \theta = h W_\theta + b_\theta$$
#
# What follows the first layer is an $f_{loc}$ again, so the function calls itself. Backwards: from
# $a = hW + b$ comes $\dot a = \dot h W + h \dot W + \dot b$. Weigh it with $da$ and collect what
# multiplies each dot: $dh = da\,W^T$, $dW = h^T da$, $db = \sum_b da$. The maximum lets through
# what is on, $da = [a > 0]\,dh$.
# %%
def localisation(U, layers):
    """θ = f_loc(U); layers [(W, b), …], the last of them as wide as θ.  §3.1"""
    (W, b), *rest = layers
    a = np.tensordot(U.reshape(len(U), -1), W, 1) + b
    return localisation(np.maximum(0, a), rest) if rest else a

def localisation_backward(dtheta, U, layers):
    """dU = da Wᵀ, dW = hᵀ da, db = Σ_b da, layer by layer.  §3.1"""
    (W, b), *rest = layers
    h, da, dlayers = U.reshape(len(U), -1), dtheta, []
    if rest:
        a = h @ W + b
        dh, dlayers = localisation_backward(dtheta, np.maximum(0, a), rest)
        da = (a > 0) * dh
    dU = da.reshape(len(U), -1) @ W.reshape(len(W), -1).T
    return dU.reshape(U.shape), [(np.tensordot(h, da, (0, 0)), da.sum(0)), *dlayers]

identity = np.array([[1.0, 0, 0], [0, 1, 0]])
W, W_theta = rng.uniform(-0.1, 0.1, (784, 20)), rng.uniform(-0.02, 0.02, (20, 2, 3))
weights = W, np.ones(20), W_theta, identity
flat = lambda dU, dlayers: (dU, *dlayers[0], *dlayers[1])
f = lambda U, *w: localisation(U, [w[:2], w[2:]])
f_backward = lambda dtheta, U, *w: flat(*localisation_backward(dtheta, U, [w[:2], w[2:]]))
settle("§3.1    f_loc: dU, dW and db", *two_slopes(f, f_backward, U, *weights))

# %% [markdown]
# ## 3.2 Parameterised sampling grid
#
# Each output pixel is a target point $G_i = (x_i^t, y_i^t)$ of a regular grid, in coordinates from
# −1 to 1. What ±1 is the paper leaves open; here it is the centre of a corner pixel, so
# $$x_j^t = (j - c)/c, \qquad c = (W'-1)/2$$
# %%
def target_grid(H, W):
    """G (H', W', 2), last axis (x, y); 0 on an axis of one pixel.  §3.2"""
    x = (2 * np.arange(W) - (W - 1)) / max(1, W - 1)
    y = (2 * np.arange(H) - (H - 1)) / max(1, H - 1)
    return np.stack(np.meshgrid(x, y), axis=-1)

G = target_grid(28, 28)
settle("§3.2    the grid's corners are at ±1", G[[0, -1], [0, -1]], [[-1, -1], [1, 1]])

# %% [markdown]
# **Eq. 1, affine.** The transformation says where in the input each output pixel comes from.
# $$\begin{pmatrix} x_i^s \\ y_i^s \end{pmatrix}
#   = A_\theta \begin{pmatrix} x_i^t \\ y_i^t \\ 1 \end{pmatrix} \qquad \text{Eq. 1}$$
#
# Backwards: $x_k^s = \sum_l A_{kl}\, g_l$ with $g = (x^t, y^t, 1)$. So $\partial x_k^s / \partial
# A_{kl} = g_l$, to be summed over the points, which share $A$; and $\partial x_k^s/\partial g_l =
# A_{kl}$, to be summed over the images, which share $G$.
# %%
def homogeneous(G):
    """(x, y, 1) for every point."""
    return np.concatenate([G, np.ones_like(G[..., :1])], axis=-1)

def affine_grid(A, G):
    """(x^s, y^s)ᵀ = A_θ (x^t, y^t, 1)ᵀ, with A (B, 2, 3).  Eq. 1"""
    return np.einsum("bkl,ijl->bijk", A, homogeneous(G))

def affine_grid_backward(dgrid, A, G):
    """dA_kl = Σ_i dx_k g_l and dG_l = Σ_b Σ_k dx_k A_kl.  Eq. 1"""
    dA = np.einsum("bijk,ijl->bkl", dgrid, homogeneous(G))
    return dA, np.einsum("bijk,bkl->ijl", dgrid, A[:, :, :2])

A = identity + rng.uniform(-0.3, 0.3, (2, 2, 3))
settle("Eq. 1   the identity keeps the grid", affine_grid(identity[None], G)[0], G)
settle("Eq. 1   affine: dA and dG", *two_slopes(affine_grid, affine_grid_backward, A, G))

# %% [markdown]
# **Eq. 2, attention.** Three numbers instead of six: zoom by $s$, and look at $(t_x, t_y)$.
# $$A_\theta = \begin{pmatrix} s & 0 & t_x \\ 0 & s & t_y \end{pmatrix} \qquad \text{Eq. 2}$$
#
# Backwards: $s$ stands in two entries, so $ds = dA_{11} + dA_{22}$; $t_x$ and $t_y$ in one each.
# %%
def attention(theta):
    """A_θ (B, 2, 3) from θ (B, 3) = s, t_x, t_y.  Eq. 2"""
    s, t_x, t_y = theta.T
    return np.stack([s, 0 * s, t_x, 0 * s, s, t_y], axis=1).reshape(-1, 2, 3)

def attention_backward(dA, theta):
    """ds = dA_11 + dA_22, dt_x = dA_13, dt_y = dA_23.  Eq. 2"""
    return np.stack([dA[:, 0, 0] + dA[:, 1, 1], dA[:, 0, 2], dA[:, 1, 2]], axis=1)

zoom = np.array([[0.5, 0.2, -0.1]])
settle("Eq. 2   attention, by hand", attention(zoom), [[[0.5, 0, 0.2], [0, 0.5, -0.1]]])
settle("Eq. 2   dθ", *two_slopes(attention, lambda dA, t: [attention_backward(dA, t)], zoom))

# %% [markdown]
# **Plane projective.** Eight numbers, a ninth that is 1, and a division at the end:
# $$(p, q, w)^T = H_\theta\, (x^t, y^t, 1)^T, \qquad (x^s, y^s) = (p/w,\ q/w)$$
#
# Backwards: $\dot x^s = \dot p/w - p\,\dot w/w^2$. So $dp = dx^s/w$, $dq = dy^s/w$ and
# $dw = -(dx^s x^s + dy^s y^s)/w$; from there it is Eq. 1 with a third row.
# %%
def projective_grid(theta, G):
    """(p/w, q/w), with (p, q, w)ᵀ = H_θ (x^t, y^t, 1)ᵀ and θ (B, 8), row by row.  §3.2"""
    H = np.insert(theta, 8, 1, axis=1).reshape(-1, 3, 3)
    p = np.einsum("bkl,ijl->bijk", H, homogeneous(G))
    return p[..., :2] / p[..., 2:]

def projective_grid_backward(dgrid, theta, G):
    """dp = dx^s/w and dw = −(dx^s x^s + dy^s y^s)/w, then as in Eq. 1.  §3.2"""
    H = np.insert(theta, 8, 1, axis=1).reshape(-1, 3, 3)
    p = np.einsum("bkl,ijl->bijk", H, homogeneous(G))
    grid, dp = p[..., :2] / p[..., 2:], dgrid / p[..., 2:]
    dw = -np.sum(dp * grid, axis=-1, keepdims=True)
    dp = np.concatenate([dp, dw], axis=-1)
    dtheta = np.einsum("bijk,ijl->bkl", dp, homogeneous(G)).reshape(-1, 9)[:, :8]
    return dtheta, np.einsum("bijk,bkl->ijl", dp, H[:, :, :2])

tilt = np.insert(A.reshape(2, 6), 6, [[0.1], [-0.2]], axis=1)
settle("§3.2    projective: dθ", *two_slopes(projective_grid, projective_grid_backward, tilt, G))

# %% [markdown]
# **$T_\theta = M_\theta B$, any basis.** Take K functions of the target point, and let θ hold how
# far each of them pulls along x and along y:
# $$T_\theta(G) = M_\theta B(G), \qquad M_\theta = \theta^T$$
#
# Eq. 1 is the case $B = (x^t, y^t, 1)$, and the gradients are found as there; $dB$ serves to learn
# a basis. The next two transformations are bases as well, and θ is where their anchors go.
# %%
def linear_grid(theta, B):
    """T_θ(G) = M_θ B, with θ (B, K, 2) and B (H', W', K).  §3.2"""
    return np.einsum("bkl,ijk->bijl", theta, B)

def linear_grid_backward(dgrid, theta, B):
    """dθ_kl = Σ_i dx_l B_k and dB_k = Σ_b Σ_l dx_l θ_kl.  §3.2"""
    return np.einsum("bijl,ijk->bkl", dgrid, B), np.einsum("bijl,bkl->ijk", dgrid, theta)

M_B = linear_grid(A.swapaxes(1, 2), homogeneous(G))
settle("§3.2    Eq. 1 is M_θ B", M_B, affine_grid(A, G))

# %% [markdown]
# **Piecewise affine.** A mesh of triangles, whose vertices $v_k$ move to $\theta_k$. A point is the
# mean of its triangle's vertices with weights λ, its barycentric coordinates. These are the basis:
# $$\begin{pmatrix} v_1 & v_2 & v_3 \\ 1 & 1 & 1 \end{pmatrix} \lambda = (x^t, y^t, 1)^T$$
#
# Its triangle is the one without a negative λ; off the mesh, the one whose least λ is greatest.
# %%
def mesh_basis(G, vertices, triangles):
    """λ at the vertices of each point's triangle, 0 at the others: B (H', W', K).  §3.2"""
    corners = homogeneous(vertices)[triangles].swapaxes(1, 2)
    weights = np.einsum("tkl,ijl->ijtk", np.linalg.inv(corners), homogeneous(G))
    t = np.argmax(weights.min(axis=-1), axis=-1)
    of_a_vertex = np.eye(len(vertices))[triangles[t]]
    return np.einsum("ijk,ijkv->ijv", weights[(*np.indices(t.shape), t)], of_a_vertex)

vertices = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1], [0.13, 0.07]])
mesh = mesh_basis(G, vertices, np.array([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]]))
settle("§3.2    mesh: vertices at rest move nothing", linear_grid(vertices[None], mesh)[0], G)
settle("§3.2    mesh: dθ", *two_slopes(linear_grid, linear_grid_backward, vertices[None], mesh))

# %% [markdown]
# **Thin plate spline.** A metal sheet that bends as little as its control points $c_k$ let it. What
# bending costs, $\int f_{xx}^2 + 2f_{xy}^2 + f_{yy}^2$, is least where $\Delta\Delta f = 0$ off the
# points. With $r = |p - c_k|$ we have $\Delta(r^2 \log r) = 4 \log r + 4$ and $\Delta \log r = 0$,
# so this is how each point bends the sheet:
# $$T_\theta(p) = \sum_k w_k\, r_k^2 \log r_k + a_x x + a_y y + a_1, \qquad
#   \begin{pmatrix} K & P \\ P^T & 0 \end{pmatrix} \begin{pmatrix} w \\ a \end{pmatrix}
#   = \begin{pmatrix} \theta \\ 0 \end{pmatrix}$$
#
# The upper rows send $c_k$ to $\theta_k$; the lower keep $w$ out of the affine part.
# %%
def bend(p, c):
    """r² log r with r = |p − c_k|, for every k."""
    r2 = np.sum((p[..., None, :] - c) ** 2, axis=-1)
    return r2 * np.log(np.where(r2 == 0, 1, r2)) / 2

def spline_basis(G, c):
    """B (H', W', K) of the thin plate spline with control points c (K, 2).  §3.2"""
    system = np.block([[bend(c, c), homogeneous(c)], [homogeneous(c).T, np.zeros((3, 3))]])
    return np.concatenate([bend(G, c), homogeneous(G)], -1) @ np.linalg.inv(system)[:, : len(c)]

points = target_grid(4, 4).reshape(-1, 2)
spline = spline_basis(G, points)
settle("§3.2    spline: points at rest move nothing", linear_grid(points[None], spline)[0], G)
settle("§3.2    spline: dθ", *two_slopes(linear_grid, linear_grid_backward, points[None], spline))

# %% [markdown]
# **To pixels.** Eqs. 1 and 2 count from −1 to 1 and Eqs. 3 to 7 from 0 to W−1. The paper does not
# say how one becomes the other. With ±1 as above, $x = c\,x^s + c$ with $c = (W-1)/2$, and so
# $dx^s = c\,dx$.
# %%
def to_pixels(grid, H, W):
    """x = c x^s + c with c = (W − 1)/2, and y with H.  §3.2"""
    c = (np.array([W, H]) - 1) / 2
    return c * grid + c

def to_pixels_backward(dxy, H, W):
    """dx^s = c dx.  §3.2"""
    return (np.array([W, H]) - 1) / 2 * dxy

settle("§3.2    in pixels the grid counts 0, 1, 2, …", to_pixels(G, 28, 28)[0, :, 0], range(28))

# %% [markdown]
# ## 3.3 Differentiable image sampling
#
# **Eq. 3.** A source point falls between pixels. A kernel $k$ of the distance says how much each
# pixel counts, once along x and once along y; Φ are the kernel's own parameters. The sums run over
# the pixels that there are, so around `U` there are zeros. By default $k$ is that of Eq. 5.
# $$V_i^c = \sum_n \sum_m U_{nm}^c\, k(x_i - m; \Phi_x)\, k(y_i - n; \Phi_y) \qquad \text{Eq. 3}$$
# %%
def sample(U, xy, k=lambda t: bilinear(t)):
    """V_i^c = Σ_n Σ_m U_nm^c k(x_i − m; Φ_x) k(y_i − n; Φ_y).  Eq. 3"""
    n, m = np.arange(U.shape[1]), np.arange(U.shape[2])
    x, y = xy[..., 0, None], xy[..., 1, None]
    return np.einsum("bnmc,bijm,bijn->bijc", U, k(x - m), k(y - n))

# %% [markdown]
# **Eq. 4, integer sampling.** The nearest pixel and no other: with $t = x_i - m$, the one for which
# $-\frac{1}{2} \le t < \frac{1}{2}$. A small step of $x_i$ changes nothing, so this kernel cannot
# train θ.
# $$k(x_i - m) = \delta(\lfloor x_i + \tfrac{1}{2} \rfloor - m) \qquad \text{Eq. 4}$$
#
# **Eq. 5, bilinear sampling.** A hat over each pixel, whose brim is at its neighbours.
# $$k(x_i - m) = \max(0, 1 - |x_i - m|) \qquad \text{Eq. 5}$$
# %%
def integer(t):
    """1 for the pixel with −½ ≤ x − m < ½, else 0.  Eq. 4"""
    return 1.0 * ((t >= -0.5) & (t < 0.5))

def bilinear(t):
    """max(0, 1 − |t|).  Eq. 5"""
    return np.maximum(0, 1 - np.abs(t))

at, four = np.array([[[[17.5, 10.25]]]]), U[:1, 10:12, 17:19, 0].ravel()
by_hand = np.dot(four, [0.5 * 0.75, 0.5 * 0.75, 0.5 * 0.25, 0.5 * 0.25])
settle("Eq. 3   at every pixel V is U", sample(U, np.stack([to_pixels(G, 28, 28)] * 2)), U)
settle("Eq. 4   at (17.5, 10.25): the pixel (18, 10)", sample(U[:1], at, integer), four[1])
settle("Eq. 5   at (17.5, 10.25): four pixels, by hand", sample(U[:1], at), by_hand)

# %% [markdown]
# **Eq. 6, back to the map.** `V` is linear in `U`, so its derivative is what multiplies $U_{nm}^c$.
# The paper prints a sum over n and m here, though these name the pixel; what the chain rule sums
# over are the output pixels that read it.
# $$\frac{\partial V_i^c}{\partial U_{nm}^c} = k(x_i - m)\, k(y_i - n), \qquad
#   dU_{nm}^c = \sum_i dV_i^c\, k(x_i - m)\, k(y_i - n) \qquad \text{Eq. 6}$$
# %%
def sample_backward_U(dV, U, xy, k=bilinear):
    """dU_nm^c = Σ_i dV_i^c k(x_i − m) k(y_i − n).  Eq. 6"""
    n, m = np.arange(U.shape[1]), np.arange(U.shape[2])
    x, y = xy[..., 0, None], xy[..., 1, None]
    return np.einsum("bijc,bijm,bijn->bnmc", dV, k(x - m), k(y - n))

xy, dV = to_pixels(affine_grid(A, G), 28, 28), rng.standard_normal(U.shape)
dU = sample_backward_U(dV, U, xy)
settle("Eq. 6   ⟨dV, V⟩ = ⟨dU, U⟩: V is linear in U", np.sum(dV * sample(U, xy)), np.sum(dU * U))

# %% [markdown]
# **Eq. 7, back to the points.** Of the factors only $k(x_i - m)$ depends on $x_i$, so $k'$ takes
# its place. From Eq. 5: where $-1 < t < 0$ the hat is $1 + t$ and rises, where $0 < t < 1$ it is
# $1 - t$ and falls. As $t = x_i - m$, that is $+1$ for the pixel ahead, $-1$ for the one behind:
# $$\frac{\partial V_i^c}{\partial x_i} = \sum_n \sum_m U_{nm}^c\, k(y_i - n)
#   \begin{cases} +1 & 0 < m - x_i \le 1 \\ -1 & -1 < m - x_i \le 0 \\ 0 & \text{else} \end{cases}
#   \qquad \text{Eq. 7}$$
#
# At an integer $x_i$ `V` has a corner with a slope to each side, and these cases give the one to
# the right. The paper's (0 if $|m - x_i| \ge 1$, else 1 if $m \ge x_i$, else −1) drop both
# neighbours there and keep the pixel itself, which is no slope at all. It matters: training starts
# at the identity, where every $x_i$ is an integer.
# %%
def bilinear_slope(t):
    """+1 for −1 ≤ t < 0, −1 for 0 ≤ t < 1, else 0: k′ of Eq. 5, to the right.  Eq. 7"""
    return 1.0 * ((t >= -1) & (t < 0)) - 1.0 * ((t >= 0) & (t < 1))

def sample_backward_xy(dV, U, xy, k=bilinear, dk=bilinear_slope):
    """dx_i = Σ_c dV_i^c Σ_n Σ_m U_nm^c k′(x_i − m) k(y_i − n), and dy_i with k k′.  Eq. 7"""
    n, m = np.arange(U.shape[1]), np.arange(U.shape[2])
    x, y = xy[..., 0, None], xy[..., 1, None]
    dx = np.einsum("bijc,bnmc,bijm,bijn->bij", dV, U, dk(x - m), k(y - n))
    dy = np.einsum("bijc,bnmc,bijm,bijn->bij", dV, U, k(x - m), dk(y - n))
    return np.stack([dx, dy], axis=-1)

f, f_backward = lambda xy: sample(U, xy), lambda dV, xy: [sample_backward_xy(dV, U, xy)]
settle("Eq. 7   dxy", *two_slopes(f, f_backward, xy))
squares, three = np.arange(5.0).reshape(1, 1, 5, 1) ** 2, np.array([[[[3.0, 0]]]])
dx = lambda dk: sample_backward_xy(np.ones((1, 1, 1, 1)), squares, three, dk=dk)[..., 0]
as_printed = lambda t: (np.abs(t) < 1) * np.where(t <= 0, 1, -1)
settle("Eq. 7   0, 1, 4, 9, 16 at x = 3: to the right 16 − 9", dx(bilinear_slope), 7)
settle("Eq. 7   the same as printed: 9, the pixel itself", dx(as_printed), 9)

# %% [markdown]
# **The kernel's Φ.** The paper gives kernels parameters, and no gradient for them. It is Eq. 7 with
# $\partial k/\partial\Phi$ in the place of $k'$. A hat as wide as Φ, $\max(0, 1 - |t|/\Phi)$, has
# $\partial k/\partial\Phi = |t|/\Phi^2$ under it.
# %%
def hat(t, Phi):
    """max(0, 1 − |t|/Φ).  §3.3"""
    return np.maximum(0, 1 - np.abs(t) / Phi)

def hat_dPhi(t, Phi):
    """|t|/Φ² for |t| < Φ.  §3.3"""
    return (np.abs(t) < Phi) * np.abs(t) / Phi**2

def sample_backward_Phi(dV, U, xy, k, dk_dPhi):
    """dΦ_x and dΦ_y: Eq. 7 with ∂k/∂Φ for k′, summed over points and channels.  §3.3"""
    n, m = np.arange(U.shape[1]), np.arange(U.shape[2])
    x, y = xy[..., 0, None], xy[..., 1, None]
    dPhi_x = np.einsum("bijc,bnmc,bijm,bijn->", dV, U, dk_dPhi(x - m), k(y - n))
    return dPhi_x, np.einsum("bijc,bnmc,bijm,bijn->", dV, U, k(x - m), dk_dPhi(y - n))

f = lambda Phi: sample(U, xy, lambda t: hat(t, Phi))
f_backward = lambda dV, Phi: [
    sum(sample_backward_Phi(dV, U, xy, lambda t: hat(t, Phi), lambda t: hat_dPhi(t, Phi)))
]
settle("§3.3    dΦ", *two_slopes(f, f_backward, np.array(1.7)))

# %% [markdown]
# ## 3.4 Spatial transformer networks
#
# Localise, make the grid, sample: together they are the module, which goes anywhere in a network,
# any number of times, in series or side by side. Backwards the same stairs lead down. `U` is
# reached twice, as what is sampled and as what the localisation network saw:
# $$dU = (\text{Eq. 6}) + \left(\frac{\partial f_{loc}}{\partial U}\right)^T d\theta, \quad
#   d\theta = \sum_i \left(\frac{\partial T_\theta(G_i)}{\partial\theta}\right)^T c(\text{Eq. 7})$$
# %%
def spatial_transformer(U, layers, H, W):
    """V (B, H', W', C) of an affine transformer, whose f_loc has these layers.  §3.4"""
    A = localisation(U, layers).reshape(-1, 2, 3)
    return sample(U, to_pixels(affine_grid(A, target_grid(H, W)), *U.shape[1:3]))

def spatial_transformer_backward(dV, U, layers):
    """dU and dlayers; V's size is that of dV.  §3.4"""
    theta, G, size = localisation(U, layers), target_grid(*dV.shape[1:3]), U.shape[1:3]
    A = theta.reshape(-1, 2, 3)
    xy = to_pixels(affine_grid(A, G), *size)
    dgrid = to_pixels_backward(sample_backward_xy(dV, U, xy), *size)
    dA, _ = affine_grid_backward(dgrid, A, G)
    dU_seen, dlayers = localisation_backward(dA.reshape(theta.shape), U, layers)
    return sample_backward_U(dV, U, xy) + dU_seen, dlayers

f = lambda U, *w: spatial_transformer(U, [w[:2], w[2:]], 20, 24)
f_backward = lambda dV, U, *w: flat(*spatial_transformer_backward(dV, U, [w[:2], w[2:]]))
settle("§3.4    the module: dU, dW and db", *two_slopes(f, f_backward, U, *weights))
