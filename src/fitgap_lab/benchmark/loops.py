"""The sweep as one would write it without this project: two plain loops over Keras and MLflow.

Each is what a careful person's script does, with Keras's defaults: images scaled once to float32,
the validation partition scored after every epoch, all three partitions at the end. Neither has
artifacts, identity or exact figures per epoch; the second has MLflow do the logging.
"""

from typing import Any

import keras
import mlflow
import numpy as np

from fitgap_lab.benchmark.processes import serve_role

EPOCHS, BATCH_SIZE = 5, 32

OPTIMIZERS = {
    "sgd": keras.optimizers.SGD,
    "momentum": lambda: keras.optimizers.SGD(momentum=0.9),
    "nesterov": lambda: keras.optimizers.SGD(momentum=0.9, nesterov=True),
    "adagrad": keras.optimizers.Adagrad,
    "rmsprop": keras.optimizers.RMSprop,
    "adam": keras.optimizers.Adam,
}


class Loop:
    """What both loops share: the data, the network, the scores at the end.

    Parameters
    ----------
    data
        Path of an ``.npz`` file with ``x_train``, ``y_train`` and the same for ``val`` and
        ``test``; images are uint8.
    uri
        An MLflow store that is set up and holds the experiment ``baseline``.
    """

    def __init__(self, *, data: str, uri: str) -> None:
        mlflow.set_tracking_uri(uri)
        mlflow.set_experiment("baseline")
        with np.load(data) as arrays:
            self._data = {
                part: (arrays[f"x_{part}"].astype("float32") / 255, arrays[f"y_{part}"])
                for part in ("train", "val", "test")
            }

    def start(self) -> dict[str, float]:
        """Answer that everything is imported and loaded."""
        return {}

    def _model(self, optimizer: str, *, seed: int) -> Any:
        keras.backend.clear_session()
        keras.utils.set_random_seed(seed)
        model = keras.Sequential(
            [
                keras.layers.Input(self._data["train"][0].shape[1:]),
                keras.layers.Flatten(),
                keras.layers.Dense(100, activation="relu"),
                keras.layers.Dense(10, activation="softmax"),
            ]
        )
        model.compile(
            optimizer=OPTIMIZERS[optimizer](),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        return model

    def _fit(self, model: Any) -> dict[str, list[float]]:
        history: dict[str, list[float]] = model.fit(
            *self._data["train"],
            epochs=EPOCHS,
            batch_size=BATCH_SIZE,
            validation_data=self._data["val"],
            verbose=0,
        ).history
        return history

    def _scores(self, model: Any) -> dict[str, float]:
        scores: dict[str, float] = {}
        for part, (x, y) in self._data.items():
            # Large steps, which few scripts take the trouble to set: they favour this loop.
            loss, accuracy = model.evaluate(x, y, batch_size=1000, verbose=0)
            scores |= {f"{part}/loss": loss, f"{part}/accuracy": accuracy}
        scores["gap/accuracy"] = scores["train/accuracy"] - scores["val/accuracy"]
        return scores


class ManualLoop(Loop):
    """``fit``, ``evaluate``, and the figures logged by hand."""

    def run(self, *, optimizer: str, seed: int) -> dict[str, float]:
        """Train, score and log one run."""
        model = self._model(optimizer, seed=seed)
        with mlflow.start_run(run_name=f"{optimizer} seed={seed}"):
            mlflow.log_params(
                {"optimizer": optimizer, "seed": seed, "epochs": EPOCHS, "batch_size": BATCH_SIZE}
            )
            history = self._fit(model)
            for epoch in range(EPOCHS):
                figures = {name: values[epoch] for name, values in history.items()}
                mlflow.log_metrics(figures, step=epoch + 1)
            scores = self._scores(model)
            mlflow.log_metrics(scores, step=EPOCHS)
        return scores


class AutologLoop(Loop):
    """``fit`` under ``mlflow.keras.autolog()``, then ``evaluate``.

    ``mlflow.tensorflow.autolog`` is the same in name, but needs TensorBoard.
    """

    def run(self, *, optimizer: str, seed: int) -> dict[str, float]:
        """Train, score and log one run."""
        mlflow.keras.autolog(silent=True)
        model = self._model(optimizer, seed=seed)
        with mlflow.start_run(run_name=f"{optimizer} seed={seed}"):
            mlflow.log_params({"optimizer": optimizer, "seed": seed})
            self._fit(model)
            scores = self._scores(model)
            mlflow.log_metrics(scores, step=EPOCHS)
        return scores


if __name__ == "__main__":
    serve_role({"manual": ManualLoop, "autolog": AutologLoop})
