"""Data sets: the digits that ship with the package, all of MNIST, and the paper's distortions."""

from stn_ref.data.digits import Digits, digits
from stn_ref.data.distortions import TASKS, Distorted, Task, distort
from stn_ref.data.mnist import mnist, read_idx

__all__ = ["TASKS", "Digits", "Distorted", "Task", "digits", "distort", "mnist", "read_idx"]
