"""The job: train one of the paper's networks on one of its tasks, and show what it looks at."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import stn_ref
from stn_ref.data import TASKS, Task, digits, distort, mnist
from stn_ref.equations import ROTATION
from stn_ref.equations.arguments import Array, choice
from stn_ref.experiments.film import Film
from stn_ref.experiments.models import network
from stn_ref.files import replacing
from stn_ref.nn import Adam, Cosine, Training, count, error_percent, fit, save_weights, warps
from stn_ref.nn.layer import Layer, Params
from stn_ref.nn.training import passes

JOBS = ("R", "RTS", "P", "E", "TC", "addition")
TEST_SEED = 2015  # every network is tested on the same distortions
RATES = {"fcn": 3e-3, "cnn": 2e-3}
SHOWN = 4  # digits in a film
EVERY = 100  # steps between frames, and between checkpoints


class Job(NamedTuple):
    """What to train, on what, for how long, and where the results go.

    seconds  of processor time; steps or seconds, one of the two
    data     a directory with MNIST's files; the digits that ship with the package if None
    resume   go on from out/checkpoint.npz
    """

    task: str = "RTS"
    model: str = "st-fcn"
    transformation: str = "affine"
    transformers: int = 1
    steps: int | None = None
    seconds: float | None = None
    seed: int = 0
    data: Path | None = None
    download: bool = False
    out: Path = Path("training")
    resume: bool = False


@dataclass(frozen=True)
class Afresh:
    """Distorts each batch afresh; its text keeps a job from another's checkpoint."""

    task: Task
    seed: int

    def __call__(
        self, images: Array, labels: Array, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        return distort(self.task, images, labels, rng)[:2]


def train(job: Job) -> dict[str, Any]:
    """Train; write weights, history, result and pictures into job.out; return the result.

    The recipe: Adam, batches of 256 digits distorted afresh, 50 steps of warm-up and a cosine to 0.
    The test is on all test digits, distorted once, the same way for every network.
    Raises what `network`, `mnist` and `fit` raise.
    """
    task = TASKS[choice("task", job.task, JOBS)]
    model = network(
        job.model, task, transformation=job.transformation, transformers=job.transformers
    )
    if job.data is None and job.download:
        raise ValueError("there is nowhere to download to: name a directory with --data")
    if job.data is None:
        found = digits(dtype=np.float32)
    else:
        found = mnist(job.data, download=job.download, dtype=np.float32)
    x_test, y_test, angle, *_ = distort(
        task, found.x_test, found.y_test, np.random.default_rng(TEST_SEED)
    )
    params, _ = model.initialise(np.random.default_rng([job.seed, 0]), x_test.shape[1:])
    optimiser = Adam(Cosine(RATES[job.model.removeprefix("st-")], warm_up=50))

    afresh = Afresh(task, job.seed)

    def run(**options: Any) -> Training:
        images, labels = found.x_train, found.y_train
        return fit(model, params, images, labels, optimiser=optimiser, prepare=afresh, **options)

    job.out.mkdir(parents=True, exist_ok=True)
    run(steps=1, rng=np.random.default_rng(0))  # compiles what there is to compile
    film = Film(model, x_test[:: len(x_test) // SHOWN][:SHOWN], job.out, resume=job.resume)
    training = run(
        steps=job.steps,
        seconds=job.seconds,
        rng=np.random.default_rng([job.seed, 1]),
        checkpoint=job.out / "checkpoint.npz",
        resume=job.resume,
        every=EVERY,
        watch=film.take,
    )
    film.develop()
    save_weights(job.out / "weights.npz", training.params)
    lines = [f"{step},{loss},{seconds}\n" for step, (loss, seconds) in enumerate(training.history)]
    with replacing(job.out / "history.csv") as path:
        path.write_text("step,loss,seconds\n" + "".join(lines))
    looks = ("transformation", "transformers") if job.model.startswith("st-") else ()
    result = {
        "error_percent": round(error_percent(model, training.params, x_test, y_test), 4),
        "steps": training.step,
        "seconds": round(training.seconds, 2),
        "seed": job.seed,
        "version": stn_ref.__version__,
        **{name: getattr(job, name) for name in ("task", "model", *looks)},
        "parameters": count(params),
        "training_digits": len(found.x_train),
        "test_digits": len(x_test),
        **turned_upright(model, training.params, x_test, angle, task),
    }
    with replacing(job.out / "result.json") as path:
        path.write_text(json.dumps(result, indent=1) + "\n")
    return result


def turned_upright(
    model: Layer, params: Params, images: Array, angle: Array, task: Task, *, batch: int = 250
) -> dict[str, float]:
    """How the first transformer's angle goes with the true one, if all that it can do is turn.

    To undo a turn by a, T_θ has θ = −a. A network that turns all images alike has 0.
    """
    thetas = []
    for _, cache in passes(model, params, images, batch=batch):
        found = next(warps(model, cache), None)
        if found is None or found[0].transformation is not ROTATION or not task.angle:
            return {}
        thetas.append(found[1].theta[:, 0])
    predicted = -np.concatenate(thetas)
    related = np.corrcoef(predicted, angle[:, 0])[0, 1] if np.ptp(predicted) else 0.0
    return {"angle_correlation": round(float(related), 4)}
