"""The network, data and settings that a verification builds on both sides."""

from typing import TYPE_CHECKING, cast

import numpy as np

from fitgap.config import settings, tasks
from fitgap.config.options import read_option
from fitgap.config.schema import Config
from fitgap.data import datasets, splits
from fitgap.data.datasets import Labels
from fitgap.errors import RequestError
from fitgap.evaluation.scores import Partition, encode_labels, partition
from fitgap.reference.arrays import AnyArray

if TYPE_CHECKING:
    import keras

    from fitgap.models import scaling

SPARSE = "sparse_categorical_crossentropy"

# For the other tasks, an image's four quarters are learned of: how bright each is, or whether it
# is brighter than this.
BRIGHT = 64

# Two classes that are easily confused, for the loss that knows no more.
_TWO_CLASSES = {"fashion_mnist": [0, 6], "digits": [3, 8]}


class Experiment:
    """The settings of one comparison, from the project's own ``conf/``, and its data."""

    def __init__(
        self,
        base: Config,
        *,
        train_samples: int | None,
        activation: str = "relu",
        optimizer: str = "sgd",
        loss: str = SPARSE,
        task: str = "classes",
    ) -> None:
        plain = settings.to_plain(base)
        plain["architecture"] |= {"units": [100], "activation": activation}
        plain |= {
            "optimizer": read_option("optimizer", optimizer),
            "loss": read_option("loss", loss),
        }
        if loss == "binary_crossentropy" and task == "classes":
            plain["dataset"]["classes"] = _TWO_CLASSES[base.dataset.name]
        self.config = tasks.resolve(settings.from_plain(plain), task)
        self.dataset = datasets.load(self.config.dataset, split=self.config.split)
        split = splits.split_dataset(self.dataset, self.config.split)
        parts = partition(self.dataset, split)
        if parts.val is None:
            raise RequestError("split=none leaves no images to score; use split=holdout")
        self.train = self._partition(parts.train, count=train_samples)
        self.val = self._partition(parts.val)
        is_classes = task == "classes"
        self.num_outputs = self.dataset.num_classes if is_classes else self.train.y.shape[1]

    def _partition(self, part: Partition, *, count: int | None = None) -> Partition:
        """Return the first images, with what is to be learned of them in the place of classes."""
        x, y = np.asarray(part.x[:count]), part.y[:count]
        task = tasks.task_of(self.config).name
        if task == "classes":
            return Partition(x, y)
        quarters = [
            quarter for half in np.array_split(x, 2, 1) for quarter in np.array_split(half, 2, 2)
        ]
        brightness = np.stack([quarter.mean(axis=(1, 2)) for quarter in quarters], axis=1)
        if task == "numbers":
            return Partition(x, cast(Labels, brightness.astype(np.float32)))
        return Partition(x, (brightness > BRIGHT).astype(np.uint8))

    def build(self) -> "keras.Model":
        """Return Keras's network with the initial weights of the seed, always the same."""
        from fitgap.models import build as models

        return models.build(
            self.config,
            image_shape=self.dataset.image_shape,
            num_classes=self.num_outputs,
            total_steps=1,  # no schedule looks at it
            target_scaling=self._target_scaling(),
        )

    def _target_scaling(self) -> "scaling.TargetScaling | None":
        from fitgap.models.scaling import target_scaling

        is_numbers = tasks.task_of(self.config).name == "numbers"
        return target_scaling(self.train.y) if is_numbers else None

    def first_batch(self) -> tuple[AnyArray, AnyArray]:
        """Return uint8 images and the labels in the form that the loss takes."""
        n = self.config.training.batch_size
        units = 1 if self.config.loss.labels == "binary" else self.num_outputs
        y = encode_labels(self.train.y[:n], self.config.loss.labels, num_classes=units)
        return self.train.x[:n], y


def named(config: Config) -> str:
    """Return what a network's loss is called: of another task, its name and an unusual loss."""
    task = tasks.task_of(config)
    if task.name == "classes":
        return config.loss.name
    return task.name if config.loss.name == task.loss else f"{task.name}, {config.loss.name}"
