"""Spatial Transformer Networks (Jaderberg et al. 2015, arXiv 1506.02025): the reference.

    stn_ref.transform(U, theta)     warp a feature map: §3.2 and §3.3 in one call
    stn_ref.sample(U, xy)           Eq. 3 at given source points
    stn_ref.equations               every equation of section 3, in plain NumPy
    stn_ref.trace(U, theta, at=…)   one output pixel through all of them
    stn_ref.check_gradients(…)      finite differences that know about knots; check_jvp(…) forwards

Importing this loads nothing; what a name needs, mostly NumPy alone, comes when it is first used.
"""

from typing import TYPE_CHECKING

from stn_ref.lazy import lazily

if TYPE_CHECKING:
    from stn_ref.api import sample, sample_backward, transform, transform_backward
    from stn_ref.proofs.gradcheck import check_gradients
    from stn_ref.proofs.jvpcheck import check_jvp
    from stn_ref.tracing import trace
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "check_gradients": "proofs.gradcheck",
            "check_jvp": "proofs.jvpcheck",
            "sample": "api",
            "sample_backward": "api",
            "trace": "tracing",
            "transform": "api",
            "transform_backward": "api",
        },
    )

__version__ = "0.1.0"

__all__ = [
    "check_gradients",
    "check_jvp",
    "sample",
    "sample_backward",
    "trace",
    "transform",
    "transform_backward",
]
