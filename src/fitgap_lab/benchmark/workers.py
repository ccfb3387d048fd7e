"""What the benchmark's children do under TensorFlow: train epochs, run and record experiments.

TensorFlow's threads are fixed for the life of a process, so each way of training that is compared
has a child of its own. They answer the requests of `fitgap_lab.benchmark.measure`, which decides
what is compared and does all the counting.
"""

import os
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fitgap import experiment, heavy_imports
from fitgap.config import tasks
from fitgap.config.schema import Config
from fitgap.data import datasets, splits
from fitgap.evaluation.scores import Partition, Partitions, partition
from fitgap.tag_names import DATASET_TAG, IDENTITY_TAG, ROLE_TAG, SPLIT_TAG
from fitgap.training import backend
from fitgap.training.engines import choice as engines
from fitgap_lab.benchmark.processes import serve_role
from fitgap_lab.composition import settings_of

if TYPE_CHECKING:
    import keras

Answer = dict[str, Any]

# More steps in one execution of `model.fit` gain nothing that could be measured.
MAX_STEPS_PER_EXECUTION = 375


def settings(overrides: Sequence[str]) -> Config:
    """Return the settings of one experiment, completed for classes."""
    return tasks.resolve(settings_of(overrides), "classes")


def network(chosen: Config, image_shape: tuple[int, ...], y: NDArray[Any]) -> "keras.Model":
    """Return the network of some settings for images of a shape and their labels."""
    from fitgap.models import build

    return build.build(
        chosen,
        image_shape=image_shape,
        num_classes=int(y.max()) + 1,
        total_steps=1,  # a schedule's length; none of the cases has one
    )


class EngineEpochs:
    """Epochs of this project's engine, as the rule chooses it.

    Parameters
    ----------
    threads
        ``training.threads``.
    """

    def __init__(self, *, threads: int) -> None:
        backend.start(threads)
        self._threads = threads
        self._train: Partition | None = None

    def build(self, *, overrides: list[str], x: str, y: str, seed: int) -> Answer:
        """Build network and engine and run the first epoch, compilation included.

        Parameters
        ----------
        overrides
            Of the settings, without threads.
        x, y
            Paths of NumPy files: uint8 images, int64 labels.
        seed
            Of weights and batch order.
        """
        if self._train is None:
            self._train = Partition(np.load(x), np.load(y))
        started = time.perf_counter()
        self._config = settings([*overrides, f"seed={seed}", f"training.threads={self._threads}"])
        model = network(self._config, self._train.x.shape[1:], self._train.y)
        choice = engines.choose(self._config, image_bytes=self._train.x.nbytes)
        self._engine = engines.make(
            choice, model=model, train=self._train, config=self._config, callbacks=[]
        )
        self._epoch = 0
        built = time.perf_counter() - started
        way = choice.name + ("+xla" if choice.xla else "")
        first = self.epoch()["seconds"]
        return {"build_seconds": built, "first_seconds": first, "way": way}

    def epoch(self) -> Answer:
        """Train one epoch; the order of the images is drawn within the time."""
        from fitgap.training import loop

        assert self._train is not None
        self._epoch += 1
        started = time.perf_counter()
        order = loop.batch_order(len(self._train), seed=self._config.seed, epoch=self._epoch)
        scores = self._engine.run_epoch(order)
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "loss": scores.loss, "accuracy": scores["accuracy"]}


class FitEpochs:
    """Epochs of Keras's ``model.fit``, on all cores as TensorFlow takes them by itself.

    Parameters
    ----------
    pixels
        ``float32``: scaled to [0, 1] beforehand, as a notebook has them; the network has no
        scaling layer then. ``uint8``: the network and the bytes that this project trains with.
    tuned
        Whether ``steps_per_execution`` is set, oneDNN's kernels are on, and ``jit_compile`` for
        the networks that gain by it (those for which the engine's rule takes XLA).
    """

    def __init__(self, *, pixels: str, tuned: bool) -> None:
        if tuned:
            os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
        with heavy_imports.silent_stderr():
            import keras
        self._keras = keras
        self._pixels, self._tuned = pixels, tuned

    def build(self, *, overrides: list[str], x: str, y: str, seed: int) -> Answer:
        """Build and compile the network and run the first epoch; see `EngineEpochs.build`."""
        images, self._y = np.load(x), np.load(y)
        started = time.perf_counter()
        chosen = settings([*overrides, f"seed={seed}"])
        self._batch_size = chosen.training.batch_size
        model = network(chosen, images.shape[1:], self._y)
        optimizer, loss = model.optimizer, model.loss
        how: dict[str, Any] = {}
        if self._tuned:
            steps = -(-len(images) // self._batch_size)
            xla = engines.choose(chosen, image_bytes=images.nbytes).xla
            how = {"steps_per_execution": min(steps, MAX_STEPS_PER_EXECUTION), "jit_compile": xla}
        if self._pixels == "float32":
            # `network` has the scaling layer first.
            images = images.astype(np.float32) / 255
            inputs = self._keras.layers.Input(images.shape[1:])
            model = self._keras.Sequential([inputs, *model.layers[1:]])
        model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"], **how)
        self._x, self._model = images, model
        built = time.perf_counter() - started
        way = ", ".join(f"{key}={value}" for key, value in how.items()) or "Keras's defaults"
        return {"build_seconds": built, "first_seconds": self.epoch()["seconds"], "way": way}

    def epoch(self) -> Answer:
        """Train one epoch, without validation."""
        started = time.perf_counter()
        history = self._model.fit(
            self._x, self._y, batch_size=self._batch_size, epochs=1, verbose=0
        ).history
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "loss": history["loss"][0], "accuracy": history["accuracy"][0]}


class Runs:
    """Whole experiments, one after another in one process, with and without their record."""

    def __init__(self) -> None:
        self._partitions: Partitions | None = None

    def recorded(self, *, overrides: list[str]) -> Answer:
        """Run an experiment as a command does, from data to record.

        Returns
        -------
        dict
            ``seconds``, and ``resident_mb``: the process's memory afterwards.
        """
        planned = experiment.plan(settings(overrides))
        started = time.perf_counter()
        experiment.run(planned)
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "resident_mb": resident_megabytes()}

    def unrecorded(self, *, overrides: list[str]) -> Answer:
        """Train and evaluate as `experiment.run` does, and record nothing.

        The data's partitions are those of the first call: its overrides decide dataset and split.
        """
        planned = experiment.plan(settings(overrides))
        chosen = planned.config
        backend.start(chosen.training.threads)
        from fitgap.models import build as models
        from fitgap.training import loop

        dataset = datasets.load(chosen.dataset)
        if self._partitions is None:
            self._partitions = partition(dataset, splits.split_dataset(dataset, chosen.split))
        partitions = self._partitions
        started = time.perf_counter()
        steps = -(-len(partitions.train) // chosen.training.batch_size)
        model = models.build(
            chosen,
            image_shape=dataset.image_shape,
            num_classes=dataset.num_classes,
            total_steps=steps * chosen.training.epochs,
        )
        callbacks = models.callbacks(chosen)
        engine = engines.make(
            planned.choice, model=model, train=partitions.train, config=chosen, callbacks=callbacks
        )
        loop.fit(
            engine,
            partitions=partitions,
            config=chosen,
            callbacks=callbacks,
            observe=lambda _: None,
        )
        engine.evaluate(partitions.test)
        return {"seconds": time.perf_counter() - started}


class Store:
    """Sets up records for the commands that are timed."""

    def prepare(self, *, uri: str, experiment_name: str) -> Answer:
        """Make sure that a store and an experiment in it exist."""
        from fitgap.tracking import setup

        setup.prepare(uri, experiment_name)
        return {}

    def fill(self, *, uri: str, experiment_name: str, grid: list[list[str]]) -> Answer:
        """Record a finished run for each of some settings, with figures that are made up.

        Identity, parameters and number of metrics are those that training would have left, so
        that a command which asks for the same settings finds them finished.
        """
        from fitgap.tracking import descriptions, run_writer, setup

        experiment_id = setup.prepare(uri, experiment_name)
        figures = random.Random(0)  # noqa: S311 - no secret
        names = [
            f"{part}/{quantity}"
            for part in ("train", "val", "test", "running", "gap", "test_gap")
            for quantity in ("loss", "accuracy")
        ]
        for overrides in grid:
            planned = experiment.plan(settings(overrides))
            description = descriptions.RunDescription(
                name=descriptions.run_name(planned.config),
                parameters={"engine": planned.choice.name, "engine_reason": planned.choice.reason},
                tags={
                    ROLE_TAG: "run",
                    IDENTITY_TAG: planned.identity,
                    DATASET_TAG: planned.facts.dataset_digest,
                    SPLIT_TAG: planned.facts.split_digest,
                },
            )
            with run_writer.open_run(
                planned.config, description, uri=uri, experiment_id=experiment_id
            ) as record:
                for step in range(1, planned.config.training.epochs + 1):
                    record.log_metrics({name: figures.random() for name in names}, step=step)
        return {"runs": len(grid)}


def resident_megabytes() -> float:
    """Return this process's resident memory, in units of 2**20 bytes (Linux only)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    serve_role({"engine": EngineEpochs, "fit": FitEpochs, "runs": Runs, "store": Store})
