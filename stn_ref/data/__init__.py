"""Data sets: digits that ship with the package, all of MNIST, and the paper's distortions.

Beside them digits in volumes, and signals played at an uneven pace.
"""

from stn_ref.data.digits import Digits, digits
from stn_ref.data.distortions import TASKS, Distorted, Task, distort
from stn_ref.data.mnist import mnist, read_idx
from stn_ref.data.signals import Paced, pace, played
from stn_ref.data.volumes import Extruded, extrude

__all__ = [
    "TASKS",
    "Digits",
    "Distorted",
    "Extruded",
    "Paced",
    "Task",
    "digits",
    "distort",
    "extrude",
    "mnist",
    "pace",
    "played",
    "read_idx",
]
