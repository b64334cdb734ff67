"""Training: batch after batch, with a memory on disk, so that nothing is lost."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from os.path import commonprefix
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations.arguments import Array, floating, generator, number, whole
from stn_ref.equations.records import in_full
from stn_ref.nn.containers import checked_layers
from stn_ref.nn.layer import Cache, Layer, Params, backward_to_params
from stn_ref.nn.losses import softmax_cross_entropy
from stn_ref.nn.trees import cast, named
from stn_ref.nn.weights import read_arrays, tree_of, write_arrays
from stn_ref.progress import Bar

Loss: TypeAlias = Callable[[Array, Array], tuple[float, Array]]
Prepare: TypeAlias = Callable[[Array, Array, np.random.Generator], tuple[Array, Array]]


class Optimiser(Protocol):
    """`SGD`, `Adam`, or your own."""

    def initialise(self, params: Params) -> Params:
        """The state before the first step."""

    def step(
        self, params: Params, dparams: Params, state: Params, step: int, progress: float
    ) -> tuple[Params, Params]:
        """New weights and a new state; the old ones are not written to."""


class Training(NamedTuple):
    """Where a training is: all that the next step depends on, and what happened so far.

    params   weights, in the precision of the images
    state    the optimiser's
    order    (N,) the images of this epoch, `place` of which are used
    rng      the state of the generator
    step     how many were made
    history  (loss, seconds) of each: the loss of its batch, before it; processor time up to its end
    """

    params: Params
    state: Params
    order: Array
    place: int
    rng: Mapping[str, Any]
    step: int
    history: list[tuple[float, float]]

    @property
    def seconds(self) -> float:
        """Processor time so far."""
        return self.history[self.step - 1][1] if self.step else 0.0


def fit(
    model: Layer,
    params: Params,
    images: ArrayLike,
    labels: ArrayLike,
    *,
    optimiser: Optimiser,
    rng: np.random.Generator,
    steps: int | None = None,
    seconds: float | None = None,
    batch: int = 256,
    loss: Loss = softmax_cross_entropy,
    prepare: Prepare | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    every: int = 100,
    watch: Callable[[Training], object] | None = None,
) -> Training:
    """Make the loss small on shuffled batches; no image comes twice in an epoch.

    What is left of an epoch once there is no whole batch in it is not used.

    images, labels  (N, …) and (N,); the weights take the dtype of the images
    steps, seconds  when to stop: after so many steps, or so much processor time
    prepare         (images, labels, rng) ↦ what the model gets of a batch, say freshly distorted
    checkpoint      a file for all that is needed to go on, written after `every` so many steps, at
                    the end, and on an interrupt
    resume          go on from the checkpoint if there is one; where `steps` say when to stop, the
                    result is the same, bit for bit, as without the break
    watch           called with the Training before the first step, after `every` so many, and at
                    the end
    Returns the Training at its end.
    Trainings are told apart by the text (`repr`) of model, optimiser, loss and prepare, in which
    kernels and transformations show all that they are made from, and by the images' shape.
    Raises FloatingPointError, which names the step, if a loss or a weight is not finite; the
    checkpoint stays as it was. FileExistsError if there is a checkpoint and `resume` is False,
    ValueError if it is of another training. TypeError or ValueError if an argument is bad.

    >>> from stn_ref.nn import SGD, Dense, error_percent, fit
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((256, 2))
    >>> labels = (x[:, 0] > 0).astype(int)
    >>> model = Dense(2)
    >>> params, _ = model.initialise(rng, (2,))
    >>> trained = fit(model, params, x, labels, optimiser=SGD(0.1), rng=rng, steps=50)
    >>> bool(error_percent(model, trained.params, x, labels) < 5)
    True
    """
    checked_layers(model)
    if isinstance(optimiser, type) or not hasattr(optimiser, "step"):
        raise TypeError(f"optimiser is {optimiser!r}; expected one such as Adam(1e-3)")
    images, labels = _pairs(images, labels)
    generator(rng)
    if (steps is None) == (seconds is None):
        raise ValueError(f"steps is {steps} and seconds is {seconds}; expected one of the two")
    limit = number("seconds", seconds) if steps is None else whole("steps", steps, least=0)
    if limit < 0:
        raise ValueError(f"seconds is {seconds}; expected 0 or more")
    size = min(whole("batch", batch), len(images))
    whole("every", every)
    path = None if checkpoint is None else Path(checkpoint)
    about = _stable(
        " ".join(map(in_full, (model, optimiser, loss, prepare)))
        + f" batch={size} images={images.shape} "
        f"{images.dtype} {type(rng.bit_generator).__name__}"
    )

    params = cast(params, images.dtype)
    order = np.arange(len(images))  # all used: the first step draws another
    start = rng.bit_generator.state
    now = Training(params, optimiser.initialise(params), order, len(order), start, 0, [])
    if path is not None and path.exists():
        if not resume:
            raise FileExistsError(f"{path} is there already: pass resume=True, or remove it")
        now = _read(path, now, about)
        rng.bit_generator.state = now.rng

    def one(now: Training, progress: float) -> Training:
        begin = time.process_time()
        order, place = now.order, now.place
        if place + size > len(order):
            order, place = rng.permutation(len(order)), 0
        chosen = order[place : place + size]
        x, y = images[chosen], labels[chosen]
        if prepare is not None:
            x, y = prepare(x, y, rng)
            x = np.asarray(x, images.dtype)
        with np.errstate(all="ignore"):
            z, cache = model.forward(now.params, x)
            value, dz = loss(z, y)
            value = float(value)
            if not np.isfinite(value):
                raise FloatingPointError(
                    f"the loss is {value} at step {now.step}: is the rate too high?"
                )
            dparams = backward_to_params(model, np.asarray(dz, z.dtype), cache)
            params, state = optimiser.step(now.params, dparams, now.state, now.step, progress)
            if not all(np.isfinite(leaf).all() for _, leaf in named(params)):
                raise FloatingPointError(
                    f"weights are not finite after step {now.step}: is the rate too high?"
                )
        now.history.append((value, now.seconds + time.process_time() - begin))
        drawn = rng.bit_generator.state
        return Training(params, state, order, place + size, drawn, now.step + 1, now.history)

    def pause() -> None:
        if path is not None:
            _write(path, now, about)
        if watch is not None:
            watch(now)

    with Bar("training") as bar:
        try:
            if now.step % every == 0:  # an interrupt may have kept the last one from being watched
                pause()
            while (done := now.seconds if steps is None else now.step) < limit:
                now = one(now, done / limit)
                bar.show(min(done / limit, 1.0), f"step {now.step}, loss {now.history[-1][0]:.3f}")
                if now.step % every == 0:
                    pause()
            if now.step % every:
                pause()
        except KeyboardInterrupt:
            if path is not None:
                _write(path, now, about)
            raise
    return now


def _pairs(images: ArrayLike, labels: ArrayLike) -> tuple[Array, Array]:
    images, labels = floating("images", images), np.asarray(labels)
    if images.shape[:1] != labels.shape[:1] or not images.shape[0]:
        raise ValueError(
            f"images have shape {images.shape} and labels {labels.shape}; expected one label each, "
            "and at least one image"
        )
    return images, labels


def _write(path: Path, now: Training, about: str) -> None:
    trees = {f"params/{name}": leaf for name, leaf in named(now.params)}
    trees |= {f"state/{name}": leaf for name, leaf in named(now.state)}
    text = {"rng": json.dumps(now.rng, default=np.ndarray.tolist), "about": about}
    history = np.reshape(now.history[: now.step], (now.step, 2))
    rest = {"order": now.order, "place": now.place, "history": history}
    write_arrays(path, trees | {name: np.asarray(value) for name, value in (text | rest).items()})


def _read(path: Path, start: Training, about: str) -> Training:
    arrays = read_arrays(path)
    if (kept := str(arrays.get("about"))) != about:
        raise ValueError(f"{path} is of another training: {_where_they_part(kept, about)}")
    trees = {
        kind: {n.removeprefix(kind): a for n, a in arrays.items() if n.startswith(kind)}
        for kind in ("params/", "state/")
    }
    return Training(
        tree_of(trees["params/"], start.params, path),
        tree_of(trees["state/"], start.state, path),
        arrays["order"],
        int(arrays["place"]),
        json.loads(str(arrays["rng"])),
        len(arrays["history"]),
        [(loss, seconds) for loss, seconds in arrays["history"].tolist()],
    )


def _where_they_part(kept: str, now: str) -> str:
    """A line of each: the text of a whole network fills a screen."""
    same = len(commonprefix([kept, now]))
    before = max(now.rfind(" ", 0, max(same - 40, 0)), 0)  # of a word, a few words earlier
    there, here = ("…" * (before > 0) + text[before : same + 80] for text in (kept, now))
    return f"it has {there} … where this one has {here} …"


def _stable(about: str) -> str:
    """Without the places in memory of functions, which change from process to process."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", about)


def passes(
    model: Layer, params: Params, images: Array, *, batch: int = 250
) -> Iterator[tuple[Array, Cache]]:
    """What the model makes of so many images at a time, and its cache."""
    for k in range(0, len(images), batch):
        yield model.forward(params, images[k : k + batch])


def error_percent(model: Layer, params: Params, images: Array, labels: Array) -> float:
    """How many of a hundred images get another class than their label."""
    images, labels = _pairs(images, labels)
    classes = [z.argmax(axis=1) for z, _ in passes(model, params, images)]
    return 100 * float(np.mean(np.concatenate(classes) != labels))
