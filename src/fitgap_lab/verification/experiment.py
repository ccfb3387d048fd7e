"""The network, data and settings that a verification builds on both sides."""

from typing import TYPE_CHECKING, Any, cast

from omegaconf import OmegaConf

from fitgap.config import project, settings, tasks
from fitgap.config.schema import Config
from fitgap.data import datasets, splits
from fitgap.errors import RequestError
from fitgap.evaluation.scores import Partition, encode_labels, partition
from fitgap.reference.arrays import AnyArray

if TYPE_CHECKING:
    import keras

SPARSE = "sparse_categorical_crossentropy"

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
    ) -> None:
        plain = settings.to_plain(base)
        plain["architecture"] |= {"units": [100], "activation": activation}
        plain |= {"optimizer": _option("optimizer", optimizer), "loss": _option("loss", loss)}
        if loss == "binary_crossentropy":
            plain["dataset"]["classes"] = _TWO_CLASSES[base.dataset.name]
        self.config = tasks.resolve(settings.from_plain(plain), "classes")
        self.dataset = datasets.load(self.config.dataset, split=self.config.split)
        split = splits.split_dataset(self.dataset, self.config.split)
        parts = partition(self.dataset, split)
        if parts.val is None:
            raise RequestError("split=none leaves no images to score; use split=holdout")
        self.train = Partition(parts.train.x[:train_samples], parts.train.y[:train_samples])
        self.val = parts.val

    def build(self) -> "keras.Model":
        """Return Keras's network with the initial weights of the seed, always the same."""
        from fitgap.models import build as models

        return models.build(
            self.config,
            image_shape=self.dataset.image_shape,
            num_classes=self.dataset.num_classes,
            total_steps=1,  # no schedule looks at it
        )

    def first_batch(self) -> tuple[AnyArray, AnyArray]:
        """Return uint8 images and the labels in the form that the loss takes."""
        n = self.config.training.batch_size
        units = 1 if self.config.loss.labels == "binary" else self.dataset.num_classes
        y = encode_labels(self.train.y[:n], self.config.loss.labels, num_classes=units)
        return self.train.x[:n], y


def _option(group: str, name: str) -> dict[str, Any]:
    """Read one option of a group; those asked for here hold nothing that Hydra must compose."""
    read = OmegaConf.to_container(OmegaConf.load(project.CONFIG_DIR / group / f"{name}.yaml"))
    return cast(dict[str, Any], read)
