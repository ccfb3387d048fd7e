"""Train the reference experiments with nothing but Keras, as the published notebooks did.

The yardstick of `scripts/reproduce.py --against`: it shares no line with the package (pixels are
divided by 255 in NumPy, scikit-learn splits, ``model.fit`` shuffles), so a mistake in the package
cannot hide in both. MNIST and Fashion-MNIST are read from FITGAP_DATA_DIR.
"""

import argparse
import gzip
import json
import os
import random
from pathlib import Path
from typing import Any

import keras
import numpy as np
from sklearn.model_selection import train_test_split

INTEGER, ONE_HOT = "sparse_categorical_crossentropy", "categorical_crossentropy"
# Fashion-MNIST's notebooks left the optimizer to Keras; its default is named here.
PRESETS: dict[str, dict[str, Any]] = {
    "mnist_dense_rmsprop_onehot": {"loss": ONE_HOT, "units": 512, "batch_size": 128},
    "mnist_dense_rmsprop_sparse": {"units": 512, "batch_size": 128},
    "fashion_dense_sigmoid": {"activation": "sigmoid"},
    "fashion_dense_relu": {"epochs": 10},
    "fashion_dense_adam": {"optimizer": "adam"},
}
DEFAULTS: dict[str, Any] = {
    "loss": INTEGER,
    "units": 100,
    "activation": "relu",
    "optimizer": "rmsprop",
    "epochs": 5,
    "batch_size": 32,
}


class ProgressBar(keras.callbacks.Callback):
    """What the progress bar of Keras 3 printed until 2025: running averages averaged once more.

    Some published figures were read off it. ``history`` never had this mistake.
    """

    def __init__(self) -> None:
        super().__init__()
        self.epochs: dict[str, list[float]] = {"accuracy": [], "loss": []}

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002, D102
        self._batches: list[dict[str, float]] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002, D102
        self._batches.append(dict(logs))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002, D102
        for quantity, means in self.epochs.items():
            means.append(float(np.mean([logs[quantity] for logs in self._batches])))


def read_data(name: str) -> dict[str, tuple[Any, Any]]:
    """Return the partitions, images as float32 in [0, 1]; MNIST has no validation partition."""
    folder = Path(os.environ["FITGAP_DATA_DIR"])
    if name == "mnist":
        with np.load(folder / "mnist.npz") as file:
            x, y, x_test, y_test = (file[k] for k in ("x_train", "y_train", "x_test", "y_test"))
    else:
        x, y, x_test, y_test = (
            np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=offset)
            for part in ("train", "t10k")
            for path, offset in (
                (folder / f"fashion-mnist/{part}-images-idx3-ubyte.gz", 16),
                (folder / f"fashion-mnist/{part}-labels-idx1-ubyte.gz", 8),
            )
        )
    x, x_test = (a.reshape(-1, 28 * 28).astype("float32") / 255 for a in (x, x_test))
    if name == "mnist":
        return {"train": (x, y), "test": (x_test, y_test)}
    x, x_val, y, y_val = train_test_split(x, y, test_size=0.2, random_state=42)
    return {"train": (x, y), "val": (x_val, y_val), "test": (x_test, y_test)}


def train(preset: str, *, seed: int) -> dict[str, Any]:
    """Train one preset and return its final scores and its running averages by epoch."""
    how = {**DEFAULTS, **PRESETS[preset]}
    data = read_data(preset.partition("_")[0])
    if how["loss"] == ONE_HOT:
        data = {part: (x, keras.utils.to_categorical(y)) for part, (x, y) in data.items()}
    # Keras takes the seeds of the initial weights from here. The batch order stays unseeded, as in
    # the notebooks: after keras.utils.set_random_seed, fit repeats one order in every epoch (seen
    # with Keras 3.15 and TensorFlow 2.21), and the running averages come out better.
    random.seed(seed)
    model = keras.Sequential(
        [
            keras.layers.Input((28 * 28,)),
            keras.layers.Dense(how["units"], activation=how["activation"]),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer=how["optimizer"], loss=how["loss"], metrics=["accuracy"])
    bar = ProgressBar()
    history = model.fit(
        *data["train"],
        epochs=how["epochs"],
        batch_size=how["batch_size"],
        verbose=0,
        callbacks=[bar],
    ).history
    result = {f"running/{quantity}": history[quantity] for quantity in ("accuracy", "loss")}
    result |= {f"progress_bar/{quantity}": means for quantity, means in bar.epochs.items()}
    for part, (x, y) in data.items():
        loss, accuracy = model.evaluate(x, y, batch_size=1000, verbose=0)
        result |= {f"{part}/accuracy": accuracy, f"{part}/loss": loss}
    return {"preset": preset, "seed": seed, **result}


def main() -> None:
    """Train every preset asked for with every seed; the file grows run by run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="(%(default)s)")
    # Not the package's seeds: equal ones give the same initial weights, and the comparison of two
    # means takes the runs to be independent.
    parser.add_argument("--first-seed", type=int, default=1000, metavar="N", help="(%(default)s)")
    parser.add_argument("--presets", nargs="+", choices=PRESETS, default=[*PRESETS], metavar="NAME")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.json")
    arguments = parser.parse_args()
    runs: list[dict[str, Any]] = []
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        for preset in arguments.presets:
            runs.append(train(preset, seed=seed))
            arguments.output.write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")
            print(
                f"{preset} seed={seed}: test/accuracy {runs[-1]['test/accuracy']:.4f}", flush=True
            )


if __name__ == "__main__":
    main()
