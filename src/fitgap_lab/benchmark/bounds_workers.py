"""What the benchmark's children measure of bounds: bare steps, rates, a record by hand.

They answer the requests of `fitgap_lab.benchmark.bounds`, which puts the figures together.
"""

import math
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fitgap import store
from fitgap.config.project import CONFIG_DIR
from fitgap.training import backend
from fitgap.training.engines import choice as engines
from fitgap_lab.benchmark.processes import serve_role
from fitgap_lab.benchmark.workers import Answer, Runs, network, settings

if TYPE_CHECKING:
    import keras

MATRIX = 2048  # rows and columns of the product that gives the best rate
CHAIN = 1000  # operations, each of which waits for the one before
COMMITS = 50
WRITES = ("INSERT", "UPDATE", "DELETE")


class Kernels:
    """What arithmetic and memory take in TensorFlow.

    Parameters
    ----------
    threads
        Of TensorFlow.
    """

    def __init__(self, *, threads: int) -> None:
        backend.start(threads)
        self._threads = threads

    def rates(self) -> Answer:
        """Measure the best rate of a matrix product, and what one more small operation takes."""
        import tensorflow as tf

        matrix = tf.random.uniform((MATRIX, MATRIX))
        product = tf.function(tf.matmul)

        def apply_sines(x: Any) -> Any:
            for _ in range(CHAIN):
                x = tf.sin(x)
            return x

        chain = tf.function(apply_sines)
        return {
            "flop_rate": 2 * MATRIX**3 / _fastest(lambda: product(matrix, matrix).numpy()),
            "operation_seconds": _fastest(lambda: chain(tf.constant(0.5)).numpy()) / CHAIN,
        }

    def steps(self, *, overrides: list[str], x: str, y: str) -> Answer:
        """Measure an epoch's steps without all that is around them, and count what they do.

        The same batch again and again: no gathering, no metrics, no order, one call.

        Parameters
        ----------
        overrides
            Of the settings, without threads.
        x, y
            Paths of NumPy files: uint8 images, int64 labels.
        """
        import tensorflow as tf

        images, labels = np.load(x), np.load(y)
        chosen = settings([*overrides, "seed=0", f"training.threads={self._threads}"])
        size = chosen.training.batch_size
        steps = -(-len(images) // size)
        model = network(chosen, images.shape[1:], labels)
        weights, optimizer, loss = model.trainable_variables, model.optimizer, model.loss
        optimizer.build(weights)
        batch = tf.constant(images[:size]), tf.constant(labels[:size])
        xla = engines.choose(chosen, image_bytes=images.nbytes).xla

        def step() -> None:
            with tf.GradientTape() as tape:
                value = loss(batch[1], model(batch[0], training=True))
            optimizer.apply(tape.gradient(value, [one.value for one in weights]), weights)

        def take_steps(number: Any) -> Any:
            for _ in tf.range(number):
                step()
            return weights[0].value

        epoch = tf.function(take_steps, jit_compile=xla)
        epoch(tf.constant(2)).numpy()
        seconds = _fastest(lambda: epoch(tf.constant(steps)).numpy(), times=2)
        trained = sum(math.prod(one.shape) for one in weights)
        slots = sum(math.prod(one.shape) for one in optimizer.variables)
        nodes = tf.function(step).get_concrete_function().graph.get_operations()
        return {
            "bare_seconds": seconds,
            "flop": steps * _flop_of_step(model, size),
            # Read for the step, read and written by the update; gradients and slots: both ways.
            "state_bytes": 4.0 * steps * (5 * trained + 2 * slots),
            "byte_rate": _byte_rate(trained),
            "operations": 0 if xla else steps * sum(bool(one.inputs) for one in nodes),
        }


def _fastest(action: Callable[[], object], *, times: int = 5) -> float:
    """Return the seconds of the fastest of several calls, after one that prepares everything."""
    action()
    found = []
    for _ in range(times):
        started = time.perf_counter()
        action()
        found.append(time.perf_counter() - started)
    return min(found)


def _flop_of_step(model: "keras.Model", size: int) -> float:
    """Return the operations of a step's matrix products and convolutions, forward and backward.

    The first of them needs no gradient of its inputs.
    """
    flop, passes = 0.0, 2
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            positions = math.prod(layer.output.shape[1:-1])
            flop += passes * 2 * size * positions * math.prod(layer.kernel.shape)
            passes = 3
    return flop


def _byte_rate(numbers: int) -> float:
    """Return the bytes a second of adding as many numbers as a network has to as many others.

    They lie where a network's do: in a cache, if they fit.
    """
    import tensorflow as tf

    total, added = tf.Variable(tf.zeros(numbers)), tf.ones(numbers)

    def add() -> None:
        for _ in tf.range(100):
            total.assign_add(added)

    return 100 * 3 * 4 * numbers / _fastest(tf.function(add))


class Record(Runs):
    """What Hydra, MLflow and a run's record take at least."""

    def composed(self, *, overrides: list[str]) -> Answer:
        """Have Hydra compose the settings of one job."""
        import hydra

        with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            started = time.perf_counter()
            hydra.compose("train", overrides)
            return {"seconds": time.perf_counter() - started}

    def new_database(self) -> Answer:
        """Have MLflow make an SQLite database with its tables."""
        import mlflow

        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            mlflow.MlflowClient(f"sqlite:///{Path(folder) / 'mlflow.db'}")
            return {"seconds": time.perf_counter() - started}

    def commits(self, *, overrides: list[str]) -> Answer:
        """Count the transactions that write, of one recorded run."""
        import sqlalchemy as sa

        writing: set[int] = set()
        written = 0

        def note(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if statement.lstrip().startswith(WRITES):
                writing.add(id(connection))

        def count(connection: Any) -> None:
            nonlocal written
            written += id(connection) in writing
            writing.discard(id(connection))

        listeners: dict[str, Callable[..., None]] = {"before_cursor_execute": note, "commit": count}
        for name, listener in listeners.items():
            sa.event.listen(sa.Engine, name, listener)
        try:
            self.recorded(overrides=overrides)
        finally:
            for name, listener in listeners.items():
                sa.event.remove(sa.Engine, name, listener)
        return {"commits": written}

    def by_hand(self, *, overrides: list[str], uri: str) -> Answer:
        """Write a run's parameters, tags and figures with MLflow's own client: the least calls."""
        import mlflow
        from mlflow.entities import Metric, Param

        client = mlflow.MlflowClient(uri)
        found = store.find_runs(uri, experiment=settings(overrides).tracking.experiment)
        run = client.get_run(found[0].run_id)
        params = [Param(key, value) for key, value in run.data.params.items()]
        figures = [
            Metric(one.key, one.value, one.timestamp, one.step)
            for key in run.data.metrics
            for one in client.get_metric_history(run.info.run_id, key)
        ]
        started = time.perf_counter()
        new = client.create_run(run.info.experiment_id, tags=run.data.tags).info.run_id
        client.log_batch(new, params=params)
        client.log_batch(new, metrics=figures)
        client.set_terminated(new)
        return {"seconds": time.perf_counter() - started}

    def saved(self, *, overrides: list[str]) -> Answer:
        """Write the network of a run in MLflow's form, without an example of its input."""
        import mlflow.tensorflow
        from mlflow.models import ModelSignature
        from mlflow.types import Schema, TensorSpec

        from fitgap.models import build as models
        from fitgap.tracking.saved_model import pip_requirements

        model = models.build(
            settings(overrides), image_shape=(28, 28), num_classes=10, total_steps=1
        )
        shapes = (model.input_shape, model.output_shape)
        schemas = [Schema([TensorSpec(np.dtype(np.float32), (-1, *one[1:]))]) for one in shapes]
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            mlflow.tensorflow.save_model(
                model,
                path=str(Path(folder) / "model"),
                signature=ModelSignature(*schemas),
                pip_requirements=pip_requirements(),
            )
            return {"seconds": time.perf_counter() - started}

    def drawn(self) -> Answer:
        """Have vl-convert draw the curves and the confusion matrix of a run, both ready to draw."""
        import vl_convert

        from fitgap.charts import confusion, run_curves
        from fitgap.tracking.artifacts import PICTURE_DPI

        values = {epoch: 1 / epoch for epoch in range(1, 6)}
        keys = [f"{part}/{metric}" for metric in ("loss", "accuracy") for part in ("train", "val")]
        curves = run_curves.draw(dict.fromkeys(keys, values))
        counts = np.arange(100).reshape(10, 10)
        specs = [one.spec() for one in (curves, confusion.draw(counts, list("0123456789")))]
        started = time.perf_counter()
        for spec in specs:
            vl_convert.vegalite_to_png(spec, scale=PICTURE_DPI / 96, ppi=96)
        return {"seconds": time.perf_counter() - started}

    def commit(self, *, path: str) -> Answer:
        """Write small transactions into an SQLite file; return the seconds of one."""
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("CREATE TABLE IF NOT EXISTS numbers (number INTEGER)")
        started = time.perf_counter()
        for number in range(COMMITS):
            connection.execute("INSERT INTO numbers VALUES (?)", (number,))
        seconds = time.perf_counter() - started
        connection.close()
        return {"seconds": seconds / COMMITS}


if __name__ == "__main__":
    serve_role({"kernels": Kernels, "record": Record})
