"""Where a tutorial's pictures go: `out`, the directory named first after the script, or `output`.

To import it prepares a script that draws into files: no window opens, the directory is made.
Git ignores `output`; `make figures` names `figures`, whose pictures are kept.
"""

import sys
from pathlib import Path

import matplotlib

from stn_ref.plots.canvas import writable_directory

out = Path(sys.argv[1] if len(sys.argv) > 1 else "output")
matplotlib.use("agg")
writable_directory(out)
