"""Run TensorFlow's resampler on the cases of one file and write what it gives to another.

A program of its own, for an environment of its own: TensorFlow Addons needs a NumPy before 2.
"""

import sys

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa


def main(cases, results):
    found = {}
    with np.load(cases) as given:
        for k in range(len(given.files) // 3):
            data, warp, loss = (
                tf.constant(given[f"{name}{k}"]) for name in ("data", "warp", "loss")
            )
            with tf.GradientTape() as tape:
                tape.watch([data, warp])
                V = tfa.image.resampler(data, warp)
            gradients = tape.gradient(V, [data, warp], output_gradients=loss)
            found |= {f"V{k}": V, f"grad_data{k}": gradients[0], f"grad_warp{k}": gradients[1]}
    np.savez(results, **{name: array.numpy() for name, array in found.items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
