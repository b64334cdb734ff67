"""Section 3 of the paper in plain NumPy, one idea a file, in the paper's order.

§3.1  localisation                        θ = f_loc(U)
§3.2  lattice, transformation, affine     G, T_θ(G), Eqs. 1 and 2
      projective, linear, thin_plate_spline, piecewise_affine, compose
§3.3  kernels, padding, taps, sampler     Eqs. 3 to 7
      gather, more_kernels, hessian
§3.4  transformer                         the module
"""

from stn_ref.equations.affine import (
    AFFINE,
    ATTENTION,
    ROTATION,
    SIMILARITY,
    TRANSLATION,
    affine,
    attention,
    translation,
)
from stn_ref.equations.compose import compose
from stn_ref.equations.hessian import sample_backward_jvp
from stn_ref.equations.kernels import BILINEAR, INTEGER, Kernel
from stn_ref.equations.lattice import (
    target_grid,
    to_pixels,
    to_pixels_backward,
    to_pixels_jvp,
)
from stn_ref.equations.linear import Linear, linear
from stn_ref.equations.localisation import f_loc, f_loc_backward, f_loc_jvp, initial_layers
from stn_ref.equations.more_kernels import bspline, gaussian, hat, keys, lanczos, normalised
from stn_ref.equations.padding import PADDINGS
from stn_ref.equations.piecewise_affine import piecewise_affine
from stn_ref.equations.projective import PROJECTIVE
from stn_ref.equations.sampler import sample, sample_backward, sample_dense, sample_jvp
from stn_ref.equations.thin_plate_spline import spline_condition, thin_plate_spline
from stn_ref.equations.transformation import Transformation
from stn_ref.equations.transformer import (
    spatial_transformer,
    spatial_transformer_backward,
    spatial_transformer_jvp,
)

__all__ = [
    "AFFINE",
    "ATTENTION",
    "BILINEAR",
    "INTEGER",
    "PADDINGS",
    "PROJECTIVE",
    "ROTATION",
    "SIMILARITY",
    "TRANSLATION",
    "Kernel",
    "Linear",
    "Transformation",
    "affine",
    "attention",
    "bspline",
    "compose",
    "f_loc",
    "f_loc_backward",
    "f_loc_jvp",
    "gaussian",
    "hat",
    "initial_layers",
    "keys",
    "lanczos",
    "linear",
    "normalised",
    "piecewise_affine",
    "sample",
    "sample_backward",
    "sample_backward_jvp",
    "sample_dense",
    "sample_jvp",
    "spatial_transformer",
    "spatial_transformer_backward",
    "spatial_transformer_jvp",
    "spline_condition",
    "target_grid",
    "thin_plate_spline",
    "to_pixels",
    "to_pixels_backward",
    "to_pixels_jvp",
    "translation",
]
