"""Train the reference experiments with nothing but Keras, as the published notebooks did.

The yardstick of `scripts/reproduce.py --against`: it shares no line with the package (pixels are
divided by 255 in NumPy, scikit-learn splits, ``model.fit`` shuffles), so a mistake in the package
cannot hide in both. MNIST and Fashion-MNIST are read from FITGAP_DATA_DIR.
"""

import argparse
import gzip
import json
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
from sklearn.model_selection import train_test_split

INTEGER, ONE_HOT = "sparse_categorical_crossentropy", "categorical_crossentropy"
# Fashion-MNIST's notebooks left the optimizer to Keras; its default is named here.
PRESETS: dict[str, dict[str, Any]] = {
    "mnist_dense_rmsprop_onehot": dict(loss=ONE_HOT, units=512, epochs=5, batch_size=128),
    "mnist_dense_rmsprop_sparse": dict(loss=INTEGER, units=512, epochs=5, batch_size=128),
    "fashion_dense_sigmoid": dict(activation="sigmoid"),
    "fashion_dense_relu": dict(epochs=10),
    "fashion_dense_adam": dict(optimizer="adam"),
}
DEFAULTS = dict(
    loss=INTEGER, units=100, activation="relu", optimizer="rmsprop", epochs=5, batch_size=32
)


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
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.layers.Input((28 * 28,)),
            keras.layers.Dense(how["units"], activation=how["activation"]),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer=how["optimizer"], loss=how["loss"], metrics=["accuracy"])
    history = model.fit(
        *data["train"], epochs=how["epochs"], batch_size=how["batch_size"], verbose=0
    ).history
    result = {"running/accuracy": history["accuracy"], "running/loss": history["loss"]}
    for part, (x, y) in data.items():
        loss, accuracy = model.evaluate(x, y, batch_size=1000, verbose=0)
        result |= {f"{part}/accuracy": accuracy, f"{part}/loss": loss}
    return {"preset": preset, "seed": seed, **result}


def main() -> None:
    """Train every preset asked for with every seed; the file grows run by run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="(%(default)s)")
    parser.add_argument("--first-seed", type=int, default=0, metavar="SEED", help="(%(default)s)")
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
