"""The images of an experiment: from whichever source, as arrays with class numbers and a digest.

Published datasets come from `fitgap.data.published`, a person's own from the reader of their
kind. Scaling is the model's first layer, not this module's work.
"""

import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fitgap.config.schema import (
    OWN_DATASETS,
    DatasetConfig,
    FunctionConfig,
    OwnConfig,
    SplitConfig,
)
from fitgap.data import disk_arrays, parts, published, readers, target_values, texts
from fitgap.data.disk_arrays import blocks
from fitgap.data.parts import (
    PLAIN,
    Column,
    Format,
    NumberedPart,
    Parts,
    SplitColumns,
    Words,
    row_names,
)
from fitgap.errors import RequestError, about

# The types of a dataset's fields, for all that take some of them.
Images = disk_arrays.Images
Labels = parts.Labels

DATASETS = (*published.CLASS_NAMES, *OWN_DATASETS)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training part and a test part of labelled images; equal only to itself.

    Attributes
    ----------
    name
        The option of the config group ``dataset``.
    train, test
        The two parts, with names if their source names the images; see
        `fitgap.data.parts.NumberedPart`.
    class_names
        One name per class, in any language; for other tasks one per number or label.
    source
        Where the bytes came from, for the record.
    digest
        SHA-256 over all arrays: bytes, shapes and types; of the user's own data, over the names of
        the classes too.
    arrays_digest
        SHA-256 over the arrays alone, which older records hold for the user's own data.
    task
        ``classes``, ``numbers`` or ``label_sets``; see `fitgap.config.tasks`.
    notes
        What a person should know of how it was read, a line each.
    columns
        Of a table: what the columns of ``x_train`` are; see `fitgap.data.preprocessing`.
    words
        Of texts: what the numbers in ``x_train`` stand for; see `fitgap.data.texts`.
    format
        Of a table or texts: how the file is written.
    is_own
        Whether a person brought it; else it is published.
    """

    name: str
    train: NumberedPart
    test: NumberedPart
    class_names: tuple[str, ...]
    source: str
    digest: str
    arrays_digest: str = ""
    notes: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    words: Words | None = None
    format: Format = PLAIN
    is_own: bool = False
    task: str = "classes"

    @property
    def x_train(self) -> Images:
        """What a network gets of the training part."""
        return self.train.x

    @property
    def y_train(self) -> Labels:
        """What it learns of the training part."""
        return self.train.y

    @property
    def x_test(self) -> Images:
        """What a network gets of the test part."""
        return self.test.x

    @property
    def y_test(self) -> Labels:
        """What it should say of the test part."""
        return self.test.y

    @property
    def num_classes(self) -> int:
        """The number of classes, whether or not each occurs."""
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The shape of one image, without the batch axis."""
        return self.x_train.shape[1:]

    @property
    def value_type(self) -> str:
        """``uint8`` for images, ``float32`` for features, ``int32`` for token ids."""
        return str(self.x_train.dtype)

    @property
    def num_tokens(self) -> int | None:
        """How many token ids there are, from 0; None for other data."""
        if self.value_type != "int32":
            return None
        if self.words:
            return len(self.words.known) + texts.FIRST_WORD
        highest = [block.max() for x in (self.x_train, self.x_test) for block in blocks(x)]
        return int(max(highest)) + 1


def load(
    config: DatasetConfig,
    *,
    memory_limit_mb: int | None = None,
    split: SplitConfig | None = None,
) -> Dataset:
    """Load a dataset.

    Parameters
    ----------
    config
        Which one, and its settings.
    memory_limit_mb
        ``training.memory_limit_mb``: the user's own images that are larger in total stay on disk.
        None: all are taken into memory.
    split
        Its columns ``group`` and ``order`` are read, and decide which rows are held out for
        testing; None: neither.

    Returns
    -------
    Dataset
        The same object at the next call.

    Raises
    ------
    RequestError
        If the name is unknown, or the data are missing, damaged, altered or no
        labelled images.
    """
    if config.name not in DATASETS:
        raise RequestError(f"dataset.name must be one of {', '.join(DATASETS)}, got {config.name}")
    settings = readers.settings_as_json(config)
    if isinstance(config, OwnConfig):
        columns = SplitColumns(split.group, split.order) if split else SplitColumns()
        return _load(settings, None, memory_limit_mb, columns, readers.file_stats(config))
    if split and (split.group or split.order):
        raise RequestError(
            f"split.group and split.order name a column of your own data; dataset={config.name} "
            "has none"
        )
    return _load(settings, published.data_dir(config), None)


# A sweep's jobs in one process share the arrays; two datasets are what a sweep rarely exceeds.
@functools.lru_cache(maxsize=2)
def _load(
    settings: str,
    data_dir: Path | None,
    memory_limit_mb: int | None,
    columns: SplitColumns | None = None,
    file_stats: str | None = None,
) -> Dataset:
    del file_stats  # a file that changed meanwhile is read again
    plain = json.loads(settings)
    if plain["name"] in OWN_DATASETS:
        config = OWN_DATASETS[plain["name"]](**plain)
        dataset = _own(config, memory_limit_mb, columns=columns or SplitColumns())
    else:
        if plain["task"] not in (None, "classes"):
            raise RequestError(
                f"dataset.task={plain['task']}: dataset={plain['name']} has one class per sample"
            )
        dataset = _published(plain["name"], data_dir)
    if plain["classes"] is not None:
        dataset = _keep_classes(dataset, plain["classes"])
    train, test = dataset.train, dataset.test
    arrays_digest = digest_arrays(train.x, train.y, test.x, test.y)
    return replace(dataset, digest=_digest(dataset, arrays_digest), arrays_digest=arrays_digest)


def _digest(dataset: Dataset, arrays_digest: str) -> str:
    """Return the digest over all that decides a run: for the user's own data, the names too.

    Those of published data never change, so that their digest is that of their arrays.
    """
    if not dataset.is_own:
        return arrays_digest
    columns = [
        {"name": column.name, "categories": column.categories}
        | ({"words": column.words.known} if column.words else {})
        for column in dataset.columns
    ]
    names = [
        dataset.task,
        dataset.class_names,
        *([columns] if columns else []),
        *([dataset.words.known] if dataset.words else []),
    ]
    text = json.dumps([arrays_digest, *names], ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _published(name: str, data_dir: Path | None) -> Dataset:
    (x_train, y_train, x_test, y_test), source = published.read(name, data_dir)
    return Dataset(
        name=name,
        train=NumberedPart(np.ascontiguousarray(x_train, np.uint8), y_train.astype(np.int64)),
        test=NumberedPart(np.ascontiguousarray(x_test, np.uint8), y_test.astype(np.int64)),
        class_names=published.CLASS_NAMES[name],
        source=source,
        digest="",
    )


def _own(config: OwnConfig, memory_limit_mb: int | None, *, columns: SplitColumns) -> Dataset:
    memory_limit = None if memory_limit_mb is None else memory_limit_mb * 2**20
    key = readers.cache_key(config)
    found: Parts = readers.reader(config).read(
        config, memory_limit=memory_limit, key=key, columns=columns
    )
    with about(_source_of(config)):
        train, test, class_names, task = target_values.prepare(
            found.train,
            found.test,
            task=config.task,
            fraction=config.test_fraction,
            seed=config.test_seed,
        )
    return Dataset(
        name=config.name,
        train=train,
        test=test,
        class_names=class_names,
        source=config.function["_target_"]
        if isinstance(config, FunctionConfig)
        else str(Path(config.path).expanduser().absolute()),
        digest="",
        is_own=True,
        task=task,
        notes=found.notes,
        columns=found.train.columns,
        words=found.words,
        format=found.format,
    )


def _source_of(config: OwnConfig) -> str:
    if isinstance(config, FunctionConfig):
        return f"dataset.function={config.function['_target_']}"
    return f"dataset.path={config.path}"


def digest_arrays(*arrays: Images) -> str:
    """Return the SHA-256 over shapes, types and all bytes of some arrays, as hex digits."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape}{array.dtype.str}".encode())
        for block in blocks(array):
            digest.update(block.data)
    return digest.hexdigest()


def _keep_classes(dataset: Dataset, classes: Sequence[int]) -> Dataset:
    if dataset.task != "classes":
        raise RequestError(f"dataset.classes: the targets are {dataset.task}, not classes")
    unknown = [c for c in classes if not 0 <= c < dataset.num_classes]
    if unknown:
        raise RequestError(
            f"dataset.classes must be from 0 to {dataset.num_classes - 1}, got {unknown[0]}"
        )
    new_label = np.full(dataset.num_classes, -1)
    new_label[list(classes)] = np.arange(len(classes))
    train, test = (
        _with_labels(part, new_label[part.y], array=array)
        for part, array in ((dataset.train, "x_train"), (dataset.test, "x_test"))
    )
    names = tuple(dataset.class_names[c] for c in classes)
    return replace(dataset, class_names=names, train=train, test=test)


def _with_labels(part: NumberedPart, y: Labels, *, array: str) -> NumberedPart:
    """Return the samples whose label is 0 or more, under their names in the whole part."""
    named = replace(part, y=y, names=part.names or row_names(array, len(part.x)))
    return named.select(np.flatnonzero(y >= 0))
