"""What a network is trained to make small."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations.arguments import Array, shaped


def softmax_cross_entropy(logits: ArrayLike, labels: ArrayLike) -> tuple[float, Array]:
    """How surprised the network is by the right class, on average over the batch.

        L = −1/B Σ_b log p_{b, label_b},   p = exp(z) / Σ_k exp(z_k)        ∂L/∂z = (p − 1_label)/B

    logits  z (B, K)
    labels  (B,) whole numbers from 0 to K − 1
    Returns L and dlogits, in the dtype of logits.
    Raises TypeError or ValueError for a wrong shape or dtype, or a label that is no class.
    """
    z, y = shaped("logits", logits, ("B", "K")), np.asarray(labels)
    B, K = z.shape
    if y.dtype.kind not in "iu":
        raise TypeError(f"labels have dtype {y.dtype}; expected integers")
    if y.shape != (B,):
        raise ValueError(f"labels have shape {y.shape}; expected ({B},), as logits have {z.shape}")
    if B == 0:
        raise ValueError("there are no labels; the mean over a batch needs at least one")
    if y.min() < 0 or y.max() >= K:
        raise ValueError(f"labels go from {y.min()} to {y.max()}; logits have classes 0 to {K - 1}")
    shifted = z - z.max(axis=1, keepdims=True)  # exp cannot overflow
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    rows = np.arange(B)
    dlogits = np.exp(log_p)
    dlogits[rows, y] -= 1
    return float(-np.mean(log_p[rows, y], dtype=np.float64)), dlogits / z.dtype.type(B)
