"""The schema under the YAML of ``conf/``: a wrong key or type fails while Hydra composes."""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf

from fitgap.config import project

# Groups of which an option may name any function, and have the settings that it takes.
OPEN_GROUPS = ("architecture", "optimizer", "loss")
# Groups that set settings of several sections, or of another one than their own.
PRESETS = ("experiment", "sweep", "remedy", "callbacks", "loggers")
PARTS = ("train", "val", "test")
ARRAY_ROLES = tuple(f"{kind}_{part}" for part in PARTS for kind in ("x", "y"))


@dataclass
class DatasetConfig:
    """What every dataset has; ``classes`` keeps some of them, relabelled from 0 in that order."""

    name: str = MISSING
    classes: list[int] | None = None
    # classes, numbers or label_sets; null: by the target. See `fitgap.config.tasks`.
    task: str | None = None
    # Whether an unseen partition may hold images that the network was trained on.
    allow_duplicates: bool = False


@dataclass
class PublishedConfig(DatasetConfig):
    """A published dataset, with known checksums; ``data_dir`` is searched first."""

    data_dir: str | None = None


@dataclass
class OwnConfig(DatasetConfig):
    """The user's own dataset; without a test part, a share of each class is held out for it."""

    path: str = MISSING  # none of a function
    test_fraction: float = MISSING
    test_seed: int = MISSING


@dataclass
class ArraysConfig(OwnConfig):
    """Arrays that have names; see :mod:`fitgap.data.arrays`."""

    keys: Any = None  # the names of arrays by role, one of `ARRAY_ROLES`
    layout: str | None = None  # channels_last, channels_first, sequences, tokens


@dataclass
class NpzConfig(ArraysConfig):
    """Arrays in one file, or in two of one each; see :mod:`fitgap.data.npz`."""

    label_path: str | None = None


@dataclass
class IdxConfig(ArraysConfig):
    """A folder of IDX files; see :mod:`fitgap.data.idx`."""


@dataclass
class MatConfig(ArraysConfig):
    """A MATLAB file; see :mod:`fitgap.data.mat`."""


@dataclass
class FunctionConfig(ArraysConfig):
    """What a function returns; see :mod:`fitgap.data.function`."""

    path: str = ""
    function: Any = MISSING  # its ``_target_`` and arguments


@dataclass
class ImageFolderConfig(OwnConfig):
    """A folder per class; see :mod:`fitgap.data.image_folder`."""

    image_size: list[int] = MISSING
    channels: int = MISSING
    bits: int | None = None
    skip_unreadable: bool = False


@dataclass
class TextsConfig(OwnConfig):
    """A folder of texts per class, or a table with a column of text."""

    text: str = "text"
    label: str = "label"
    encoding: str | None = None
    length: int = MISSING
    vocabulary: int = MISSING


@dataclass
class TableConfig(OwnConfig):
    """A table with a target among its columns; see :mod:`fitgap.data.table`."""

    label: Any = MISSING  # a column's name, or a list of them
    image_shape: list[int] | None = None
    val_path: str | None = None
    test_path: str | None = None
    columns: list[str] | None = None
    drop: list[str] | None = None
    categories: list[str] | None = None
    embed: list[str] | None = None
    embed_dim: int = 8
    text: Any = None  # a column's name, or a list of them
    length: int = 200
    vocabulary: int = 10_000
    missing: list[str] | None = None
    separator: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    header: bool | None = None
    skip_unreadable: bool = False

    @property
    def text_columns(self) -> list[str]:
        """The names of the columns of texts."""
        return [self.text] if isinstance(self.text, str) else list(self.text or ())


@dataclass
class SplitConfig:
    """How the training part becomes a training and a validation partition."""

    name: str = MISSING
    validation_fraction: float | None = None
    seed: int | None = None
    # Null: where it matters; see `fitgap.data.splits.stratifies`.
    stratify: bool | None = False
    train_fraction: float = 1.0
    folds: int | None = None
    fold: int | None = None
    group: str | None = None  # a column: no value of it is in two partitions
    order: str | None = None  # a column: what is newest by it is unseen


@dataclass
class DenseConfig:
    """The free multilayer perceptron; see :func:`fitgap.models.dense`."""

    _target_: str = MISSING
    name: str = MISSING
    title: str | None = None
    units: list[int] = MISSING
    activation: str = MISSING
    dropout: float = MISSING
    batch_norm: bool = MISSING
    l1: float = MISSING
    l2: float = MISSING


@dataclass
class LossConfig:
    """A Keras loss and the form of the labels that it takes; ``auto``: what the task needs."""

    name: str = MISSING
    labels: str = "auto"
    function: dict[str, Any] = field(default_factory=dict)


@dataclass
class MetricConfig:
    """One figure besides the loss; see :mod:`fitgap.evaluation.metrics`.

    Either ``function``, whose ``_target_`` is a function of targets and predictions or a class of
    ``keras.metrics``, or ``scorer``, a name that scikit-learn knows.
    """

    function: dict[str, Any] | None = None
    scorer: str | None = None
    needs: str = "labels"  # labels, probabilities or values: what the function is given
    # Which is better, higher or lower; null only for a scorer, of which higher always is.
    direction: str | None = None
    bounds: list[Any] = field(default_factory=lambda: [None, None])  # the least, the most
    phrase: str = ""
    is_share: bool = False  # of the samples: then their number says how far chance may move it
    tasks: list[str] = field(default_factory=lambda: ["classes", "numbers", "label_sets"])
    each_epoch: bool | None = True  # false: only at the end; null: so, unless it is the first

    def __post_init__(self) -> None:
        if self.scorer is not None and self.direction is None:
            self.direction = "higher"  # scikit-learn turns the sign of what it calls a scorer


@dataclass
class TrainingConfig:
    """How long, how, and on what the network is fitted."""

    epochs: int = MISSING
    batch_size: int = MISSING
    engine: str = MISSING
    xla: bool | None = None
    threads: int = MISSING
    train_metrics_every_epoch: bool = MISSING
    memory_limit_mb: int = MISSING
    class_weight: Any = (
        None  # null, balanced, or weights by class; see `fitgap.training.class_weights`
    )
    precision: str = "float32"
    early_stopping: dict[str, Any] = field(default_factory=dict)
    schedule: dict[str, Any] = field(default_factory=dict)
    augmentation: dict[str, Any] = field(default_factory=dict)
    callbacks: dict[str, Any] = field(default_factory=dict)


@dataclass
class TrackingConfig:
    """Where the record goes, and whether a finished run of the same identity answers."""

    uri: str | None = MISSING  # under a default, `uri: ???` of tracking=server would be lost
    experiment: str = field(default_factory=project.experiment)
    reuse: bool = True
    parent: str | None = None  # run id of the sweep's parent run, set by the sweep
    watched: bool = False  # whether the sweep itself shows what becomes of the run
    loggers: dict[str, Any] = field(default_factory=dict)  # see `fitgap.training.loggers`
    pruning: Any = None  # when a trial is stopped, set by a search; see `fitgap.training.pruning`


@dataclass
class DebugConfig:
    """A run that is to find a fault; it never counts as a finished one."""

    batches: int | None = None  # of each partition, from its beginning; null: all
    profile: bool = False
    check_numerics: bool = False


@dataclass
class Config:
    """One experiment. ``architecture`` and ``optimizer`` stay open: any Keras class fits."""

    dataset: DatasetConfig = MISSING
    split: SplitConfig = MISSING
    architecture: Any = MISSING
    optimizer: dict[str, Any] = MISSING
    loss: LossConfig = MISSING
    # `MetricConfig` by name, the primary one first; none: the task's own.
    metrics: dict[str, Any] = field(default_factory=dict)
    training: TrainingConfig = MISSING
    tracking: TrackingConfig = MISSING
    seed: int = 0
    name: str | None = None
    debug: DebugConfig | None = None
    # Null in conf/, since Hydra lets nobody assign new keys to an empty mapping.
    tags: Any = field(default_factory=dict)


OmegaConf.register_new_resolver("fitgap.experiment", project.experiment, replace=True)
ConfigStore.instance().store(name="base_config", node=Config)
OWN_DATASETS: dict[str, type[OwnConfig]] = {
    "csv": TableConfig,
    "function": FunctionConfig,
    "idx": IdxConfig,
    "image_folder": ImageFolderConfig,
    "mat": MatConfig,
    "npz": NpzConfig,
    "table": TableConfig,
    "texts": TextsConfig,
}
ConfigStore.instance().store(group="schema", name="dense", node=DenseConfig)
ConfigStore.instance().store(group="schema", name="published", node=PublishedConfig)
for _name, _schema in OWN_DATASETS.items():
    ConfigStore.instance().store(group="schema", name=_name, node=_schema)
