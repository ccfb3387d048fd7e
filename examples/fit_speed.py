"""Time `fitgap.fit` against `model.fit` on Fashion-MNIST: python examples/fit_speed.py [threads].

Each way trains the same models, compiled without XLA and as Keras compiles by itself. Compiling
counts: the time is the processor's during the whole call, which other programs hardly change.
"""

import sys
import time

import keras
import numpy as np
import tensorflow as tf

import fitgap
from fitgap.config.schema import PublishedConfig
from fitgap.data import datasets

EPOCHS, BATCH_SIZE = 3, 32


def dense() -> keras.Model:
    """Return a network with one hidden layer of 100."""
    return keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dense(100, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


def with_dropout() -> keras.Model:
    """Return the same with batch normalisation and dropout."""
    return keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dense(100, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


def convolutional() -> keras.Model:
    """Return a network with two small convolutions."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Conv2D(8, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(16, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


def seconds(make, *, ours: bool, xla: object, data) -> tuple[float, list[np.ndarray]]:
    """Return the processor's seconds for one training, and the weights it ended with."""
    (x, y), (xv, yv) = data
    keras.utils.set_random_seed(0)
    model = make()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=xla)
    fit = fitgap.fit if ours else type(model).fit
    started = time.process_time()
    fit(model, x, y, validation_data=(xv, yv), epochs=EPOCHS, batch_size=BATCH_SIZE, verbose=0)
    return time.process_time() - started, model.get_weights()


def main() -> None:
    """Print a row per model and way of compiling."""
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    loaded = datasets.load(PublishedConfig(name="fashion_mnist"))
    x = loaded.x_train.astype("float32") / 255
    xv = loaded.x_test.astype("float32") / 255
    print(f"{EPOCHS} epochs of 60,000 images, batch {BATCH_SIZE}, {threads} threads")
    for make in (dense, with_dropout, convolutional):
        images = (x[..., None], xv[..., None]) if make is convolutional else (x, xv)
        data = (images[0], loaded.y_train), (images[1], loaded.y_test)
        for xla, name in ((False, "jit_compile=False"), ("auto", "jit_compile='auto'")):
            theirs, expected = seconds(make, ours=False, xla=xla, data=data)
            ours, weights = seconds(make, ours=True, xla=xla, data=data)
            same = all(map(np.array_equal, weights, expected))
            print(
                f"{make.__name__:15}{name:20}model.fit {theirs:6.1f} s  fitgap.fit {ours:6.1f} s"
                f"  {theirs / ours:4.1f} times as fast  {'equal bits' if same else ''}",
                flush=True,
            )


if __name__ == "__main__":
    main()
