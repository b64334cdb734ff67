"""Why no equation warns: NaN, ±∞ and huge numbers are valid input whose results are defined."""

from __future__ import annotations

import numpy as np

# 0·∞, ∞ − ∞ and overflow happen on the way to a defined result, which a later line puts in place
# (NaN where a point is nowhere, 0 where nothing flows); NumPy's warnings would be of no use
quiet = np.errstate(all="ignore")
