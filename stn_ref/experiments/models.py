"""The four networks of §4.1 for any task, and as many transformers as are asked for.

Three weight layers each, as in the paper; fully connected classifiers have about the same number of
weights whatever they look at. Ours are that localisation networks pool after each convolution, and
that a convolutional classifier behind a transformer gets 28 × 28 pixels of a larger canvas.
"""

from __future__ import annotations

from math import isqrt

from stn_ref.data.distortions import FRAME, Task
from stn_ref.equations import (
    AFFINE,
    ATTENTION,
    PROJECTIVE,
    ROTATION,
    SIMILARITY,
    TRANSLATION,
    thin_plate_spline,
)
from stn_ref.equations.arguments import choice, whole
from stn_ref.nn import (
    AveragePool2d,
    Conv2d,
    Dense,
    MaxPool2d,
    Parallel,
    Relu,
    Sequential,
    SpatialTransformer,
    convolutional,
    fully_connected,
)
from stn_ref.nn.layer import Layer

MODELS = ("fcn", "cnn", "st-fcn", "st-cnn")
TRANSFORMATIONS = {
    "affine": AFFINE,
    "projective": PROJECTIVE,
    "tps": thin_plate_spline(),
    "rotation": ROTATION,
    "attention": ATTENTION,
    "translation": TRANSLATION,
    "similarity": SIMILARITY,
}
WEIGHTS = 393_000  # of the first two layers of a fully connected classifier


def network(
    model: str, task: Task, *, transformation: str = "affine", transformers: int = 1
) -> Sequential:
    """One of MODELS for a task.

    transformers  of st-fcn side by side on the image, of st-cnn one before each convolution
    Raises ValueError if there is no such model or transformation, or no room for so many.
    """
    choice("model", model, MODELS)
    T = TRANSFORMATIONS[choice("transformation", transformation, tuple(TRANSFORMATIONS))]
    whole("transformers", transformers)
    inputs = task.size**2 * task.digits
    if model == "fcn":
        return _perceptron(inputs, task.classes)
    if model == "cnn":
        return _convolutions(task.classes, [])
    if model == "st-fcn":
        looks = [SpatialTransformer(fully_connected(32, 32), transformation=T)] * transformers
        pool = [AveragePool2d(2)] if task.anywhere else []
        first = Parallel(*looks) if transformers > 1 else looks[0]
        seen = transformers * inputs // (4 if task.anywhere else 1)
        return Sequential(first, *pool, *_perceptron(seen, task.classes).layers)
    if transformers > 2:
        raise ValueError(f"transformers is {transformers}; two convolutions have room for 2")
    crop = (FRAME, FRAME) if task.size > FRAME else None
    looks = [
        SpatialTransformer(convolutional(20, 20), transformation=T, size=crop),
        SpatialTransformer(convolutional(20), transformation=T),
    ]
    return _convolutions(task.classes, looks[:transformers])


def _perceptron(inputs: int, classes: int) -> Sequential:
    """Two hidden layers of n units, (inputs + n) n ≈ WEIGHTS, and one to the classes."""
    n = (isqrt(inputs**2 + 4 * WEIGHTS) - inputs) // 2 // 20 * 20
    return Sequential(fully_connected(n, n), Dense(classes))


def _convolutions(classes: int, before: list[SpatialTransformer]) -> Sequential:
    """9 × 9, pool, 7 × 7, pool, a layer to the classes; a transformer `before` each convolution."""
    layers: list[Layer] = []
    for k, size in enumerate((9, 7)):
        layers += [*before[k : k + 1], Conv2d(32, size), MaxPool2d(2), Relu()]
    return Sequential(*layers, fully_connected(), Dense(classes))
