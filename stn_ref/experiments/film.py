"""Keep what the transformers of a network do with a few digits while it learns, and draw it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stn_ref.equations.arguments import Array
from stn_ref.nn import Training
from stn_ref.nn.layer import Layer
from stn_ref.nn.weights import read_arrays, write_arrays
from stn_ref.plots import Frame, save, training_film
from stn_ref.plots.films import every_so_often, frames

COLUMNS = 7  # of the film strip
LONG = 4096  # steps; each time a training is twice as long, every other frame goes


class Film:
    """Frames of every transformer of a model, kept in DIR/film.npz, which a resumed job goes on.

    images  (K, H, W, C)  held-out digits
    """

    def __init__(self, model: Layer, images: Array, out: Path, *, resume: bool) -> None:
        self.model, self.images, self.out = model, images, out
        self.frames: list[list[Frame]] = []  # of each moment, of each transformer
        if resume and (out / "film.npz").exists():
            kept = read_arrays(out / "film.npz")
            each = range(sum(name.startswith("U") for name in kept))
            self.frames = [
                [
                    Frame(int(step), *(kept[f"{name}{t}"][k] for name in Frame._fields[1:]))
                    for t in each
                ]
                for k, step in enumerate(kept["step"])
            ]

    def take(self, training: Training) -> None:
        """A frame of this moment; after twice as many steps as before, a picture of it, too."""
        moment = frames(self.model, training.params, self.images, training.step)
        if not moment:
            return
        pace = 1 << (training.step // LONG).bit_length()
        before = [f for f in self.frames if f[0].step < training.step and f[0].step % pace == 0]
        self.frames = [*before, moment]
        steps = [f[0].step for f in self.frames]
        kept = {"step": np.array(steps)}
        for t in range(len(moment)):
            for name in Frame._fields[1:]:
                kept[f"{name}{t}"] = np.stack([getattr(f[t], name) for f in self.frames])
        write_arrays(self.out / "film.npz", kept)
        if _is_due(steps):
            for t, frame in enumerate(moment):
                self._draw([frame], f"step_{frame.step:06}", t)

    def develop(self) -> None:
        """The film strips, from the first frame to the last."""
        for t in range(len(self.frames[0]) if self.frames else 0):
            self._draw(every_so_often([f[t] for f in self.frames], COLUMNS), "film", t)

    def _draw(self, film: list[Frame], name: str, transformer: int) -> None:
        several = len(self.frames[0]) > 1
        path = self.out / f"{name}{f'_{transformer + 1}' * several}.png"
        save(training_film(film), path)


def _is_due(steps: list[int]) -> bool:
    """Whether the last is at least twice the one that was drawn before it."""
    drawn = 0
    for step in steps:
        drawn = step if step >= 2 * drawn else drawn
    return drawn == steps[-1]
