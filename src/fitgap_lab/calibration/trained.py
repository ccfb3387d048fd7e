"""Small networks, really trained, whose accuracy on a million fresh points is known.

The points come from a known distribution, so the truth behind each printed figure can be measured
as closely as needed: what a network gets right of a million points that nobody has seen.
"""

import functools
import itertools
import math
import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from fitgap.comparison.estimates import Estimate
from fitgap.comparison.groups import Group, Section
from fitgap.comparison.ranking import compare
from fitgap.comparison.significance import Paired, wilson
from fitgap.comparison.ties import EQUIVALENT, MARGIN, WORSE
from fitgap.config import tasks
from fitgap.config.schema import Config
from fitgap.data import datasets, parts, splits
from fitgap.evaluation.scores import Partition, Partitions
from fitgap.store import StoredRun
from fitgap.tag_names import SPLIT_TAG
from fitgap.training import backend
from fitgap.trust import text_tables
from fitgap_lab.composition import settings_of

HEADER = (
    "samples", "true accuracy: adam, sgd", "intervals from", "truth of", "accuracies covered",
    "gaps covered", "adam, adam: differences covered", "adam, sgd: differences covered",
    "false claims", "adam shown better",
)  # fmt: skip
SIZES = (300, 1000)  # a fifth of them for validation
FRESH, CHUNK = 1_000_000, 20_000
SPLITS, SEEDS = 5, 3

CENTRES, FEATURES = 3, 10  # each of two classes has so many centres, about which points scatter
OF_CENTRES = 0.9  # standard deviation of a centre's coordinates; that of points about it is 1

# The second is the first again: its seeds are others, the truth is the same.
GROUPS = {
    "adam": ("optimizer=adam", "optimizer.learning_rate=0.01"),
    "adam again": ("optimizer=adam", "optimizer.learning_rate=0.01"),
    "sgd": ("optimizer=sgd", "optimizer.learning_rate=0.03"),
}
EQUAL, UNEQUAL = ("adam", "adam again"), ("adam", "sgd")
NETWORK = (
    "architecture=dense", "architecture.units=[16]", "training.epochs=8",
    "training.train_metrics_every_epoch=false",
)  # fmt: skip

Points = tuple[NDArray[np.float32], NDArray[np.int64]]


class Place(NamedTuple):
    """Which training this is."""

    group: str
    split: int
    seed: int


@dataclass(frozen=True, slots=True)
class Design:
    """Which trainings of a group an interval is made from: (split, seed) of each."""

    name: str
    replicates: Sequence[tuple[int, int]]


ONE_SPLIT = Design(f"1 split, {SEEDS} seeds", [(0, seed) for seed in range(SEEDS)])
SEVERAL_SPLITS = Design(f"{SPLITS} splits, 1 seed", [(split, 0) for split in range(SPLITS)])
HONEST = Design(  # sweep=honest
    f"{SPLITS} splits, 2 seeds", [*itertools.product(range(SPLITS), range(2))]
)


@dataclass(frozen=True, eq=False)
class Trained:
    """What one training gave.

    Attributes
    ----------
    train, val
        Accuracies.
    right
        bool of shape (val_samples,): which validation samples the network got right.
    fresh
        Its accuracy on the fresh points.
    samples
        How many it was trained on.
    """

    train: float
    val: float
    right: NDArray[np.bool_]
    fresh: float
    samples: int


Dataset = Mapping[Place, Trained]  # of one data set, all trainings


class Truth(NamedTuple):
    """Mean accuracy on the fresh points, and by how much that on the training set is higher."""

    accuracy: float
    gap: float


Truths = Mapping[str, Truth]  # by group


def table(repetitions: int = 150, processes: int = 2) -> str:
    """Train on so many data sets of each size and return the table as Markdown.

    Parameters
    ----------
    repetitions
        How many data sets; a hundred take 19 minutes of processor time, of both sizes together.
    processes
        How many at once, each on one thread.
    """
    rows = []
    spawned = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
    with ProcessPoolExecutor(processes, spawned, initializer=_start) as pool:
        for samples in SIZES:
            of_size = functools.partial(train_all, samples=samples)
            rows += rows_of([*pool.map(of_size, range(repetitions))], samples)
    return text_tables.to_markdown(HEADER, rows)


def rows_of(datasets: Sequence[Dataset], samples: int) -> list[list[str]]:
    """Return the rows of one size: each design against the truth that it is asked for."""
    like_these = truths_of(datasets)
    accuracies = ", ".join(f"{like_these[group].accuracy:.4f}" for group in UNEQUAL)
    of_training_sets = [truths_of_training_set(dataset) for dataset in datasets]
    rows = []
    for design, asked, truths in (
        (ONE_SPLIT, "this training set", of_training_sets),
        (ONE_SPLIT, "data like these", [like_these] * len(datasets)),
        (SEVERAL_SPLITS, "data like these", [like_these] * len(datasets)),
        (HONEST, "data like these", [like_these] * len(datasets)),
    ):
        found = [judged(one, design, true) for one, true in zip(datasets, truths, strict=True)]
        shares = map(_share, np.transpose(found))
        rows.append([f"{samples:,}", accuracies, design.name, asked, *shares])
    return rows


def judged(dataset: Dataset, design: Design, truths: Truths) -> list[float]:
    """Compare the trainings of a design as ``fitgap compare`` does, and judge what it prints.

    Parameters
    ----------
    dataset
        All trainings on one data set.
    design
        Which of them are compared.
    truths
        What the intervals should hold.

    Returns
    -------
    list of float
        Shares of the intervals that hold the truth: of accuracies, gaps, the difference of equal
        and of unequal groups (NaN: no interval is printed); share of false words; whether the
        better group is shown.
    """
    groups = _compared(dataset, design, [*GROUPS]).groups
    accuracies, gaps = (
        fmean(_holds(group.metrics[metric], truths[_name(group)][figure]) for group in groups)
        for figure, metric in enumerate(("val/accuracy", "gap/accuracy"))
    )
    equal_held, equal_false, _ = _of_pair(dataset, design, truths, EQUAL)
    held, false, shown = _of_pair(dataset, design, truths, UNEQUAL)
    return [accuracies, gaps, equal_held, held, (equal_false + false) / 2, shown]


def _of_pair(
    dataset: Dataset, design: Design, truths: Truths, pair: tuple[str, str]
) -> tuple[float, bool, bool]:
    """Return whether the difference is held, the word false, a truly better group shown."""
    first, second = _compared(dataset, design, pair).groups
    found = second.against_best
    assert found is not None
    true = 0.0
    if pair == UNEQUAL:
        true = truths[_name(first)].accuracy - truths[_name(second)].accuracy
    held = math.nan if found.difference is None else _holds(found.difference, true)
    is_better = found.word == WORSE  # the first: the second is worse
    false = (is_better and true <= 0) or (found.word == EQUIVALENT and abs(true) > MARGIN)
    return held, false, is_better and true > 0


def _compared(dataset: Dataset, design: Design, groups: Sequence[str]) -> Section:
    chosen = {
        " ".join(map(str, place)): (place, found)
        for place, found in dataset.items()
        if place.group in groups and (place.split, place.seed) in design.replicates
    }
    runs = [
        StoredRun(
            run_id=run_id,
            name="",
            status="FINISHED",
            start_time=0,
            params={
                "dataset.name": "drawn",
                "split.name": "holdout",
                "split.seed": str(place.split),
                "seed": str(place.seed),
                "optimizer.name": place.group,
                "train_samples": str(found.samples),
                "val_samples": str(len(found.right)),
            },
            metrics={
                "train/accuracy": found.train,
                "val/accuracy": found.val,
                "gap/accuracy": found.train - found.val,
            },
            tags={SPLIT_TAG: str(place.split)},
        )
        for run_id, (place, found) in chosen.items()
    ]
    (section,) = compare(runs, right_of=lambda run: chosen[run.run_id][1].right).sections
    return section


def _name(group: Group) -> str:
    return group.runs[0].params["optimizer.name"]


def _holds(found: Estimate | Paired, truth: float) -> float:
    if found.low is None or found.high is None:
        return math.nan
    return float(found.low <= truth <= found.high)


def truths_of(datasets: Sequence[Dataset]) -> Truths:
    """Return the means over all trainings on all data sets."""
    places = [(place, one) for dataset in datasets for place, one in dataset.items()]
    return {
        group: _truth([one for place, one in places if GROUPS[place.group] == words])
        for group, words in GROUPS.items()
    }


def truths_of_training_set(dataset: Dataset) -> Truths:
    """Return the means over further seeds on the first split, none of which the intervals know."""
    return {
        group: _truth(
            [
                one
                for place, one in dataset.items()
                if place.split == 0
                and GROUPS[place.group] == words
                and (place.group != group or place.seed >= SEEDS)
            ]
        )
        for group, words in GROUPS.items()
    }


def _truth(trained: Sequence[Trained]) -> Truth:
    accuracy = fmean(one.fresh for one in trained)
    return Truth(accuracy, fmean(one.train for one in trained) - accuracy)


def _share(found: NDArray[np.float64]) -> str:
    """Return a mean over data sets with Wilson's interval, as if each of them gave one interval."""
    known = found[~np.isnan(found)]
    low, high = wilson(float(known.mean()), images=len(known))
    return f"{known.mean():.3f} ({low:.2f} to {high:.2f})"


def _start() -> None:
    backend.start(1)
    threadpool_limits(1)


def draw(n: int, rng: np.random.Generator) -> Points:
    """Return so many points of the distribution, which is always the same one."""
    centres = np.random.default_rng(1).normal(0, OF_CENTRES, (2, CENTRES, FEATURES))
    y = rng.integers(2, size=n)
    x = centres[y, rng.integers(CENTRES, size=n)] + rng.normal(size=(n, FEATURES))
    return x.astype(np.float32), y


def train_all(repetition: int, *, samples: int, fresh: int = FRESH) -> Dataset:
    """Draw a data set, and train on it all that the designs need.

    Parameters
    ----------
    repetition
        Number of the data set, and seed of all that is random in it.
    samples
        Its size.
    fresh
        How many points say what a network's accuracy is.
    """
    x, y = draw(samples, np.random.default_rng([samples, repetition]))
    replicates = {*ONE_SPLIT.replicates, *HONEST.replicates}
    further = {(0, SEEDS + seed) for seed in range(SEEDS)}  # adam has them in "adam again"
    places = [
        Place(group, split, seed)
        for group in GROUPS
        for split, seed in sorted(replicates | further if group == "sgd" else replicates)
    ]
    return {place: _train(place, x, y, repetition, fresh) for place in places}


def _train(
    place: Place, x: NDArray[np.float32], y: NDArray[np.int64], repetition: int, fresh: int
) -> Trained:
    """Train as a run does, with the engine that the rule chooses."""
    from fitgap.models import build
    from fitgap.models.scaling import FeatureScaling
    from fitgap.training import loop
    from fitgap.training.engines import choice as engines

    config = _config(place.group)
    # Seeds differ between groups and data sets, which would otherwise begin alike.
    number = [*GROUPS].index(place.group) + len(GROUPS) * (place.seed + 100 * repetition)
    config = replace(
        config, seed=number, split=replace(config.split, seed=place.split + SPLITS * repetition)
    )
    whole, none = parts.NumberedPart(x, y), parts.NumberedPart(x[:0], y[:0])
    dataset = datasets.Dataset(
        "drawn", whole, none, class_names=("0", "1"), source="", digest="", is_own=True
    )
    split = splits.split_dataset(dataset, config.split)
    train, val = (Partition(x[rows], y[rows]) for rows in (split.train, split.val))
    # The distribution's scale, not the training partition's: so one compiled program serves all.
    scale = FeatureScaling(axis=-1, mean=[0.0] * FEATURES, variance=[1.0] * FEATURES)
    model = build.build(
        config, image_shape=(FEATURES,), num_classes=2, total_steps=1, scaling=scale
    )
    choice = engines.choose(config, image_bytes=x.nbytes)
    engine = engines.make(choice, model=model, train=train, config=config, callbacks=[])
    fitted = loop.fit(
        engine,
        partitions=Partitions(train, val, val),
        config=config,
        callbacks=[],
        observe=lambda _: None,
    )
    assert fitted.val is not None
    return Trained(
        train=fitted.train["accuracy"],
        val=fitted.val["accuracy"],
        right=engine.predict(val.x).argmax(1) == val.y,
        fresh=accuracy_of(engine.model, *_fresh(fresh)),
        samples=len(train),
    )


def accuracy_of(model: Any, x: NDArray[np.float32], y: NDArray[np.int64]) -> float:
    """Return the accuracy of a dense network of two classes: NumPy takes a tenth of a second."""
    import keras

    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    *hidden, output = [layer.get_weights() for layer in layers]
    kernel, bias = (part[..., 1] - part[..., 0] for part in output)
    right = 0
    for start in range(0, len(y), CHUNK):
        values = x[start : start + CHUNK]
        for of_layer, bias_of_layer in hidden:
            values = np.maximum(values @ of_layer + bias_of_layer, 0)
        right += int(np.sum((values @ kernel + bias > 0) == y[start : start + CHUNK]))
    return right / len(y)


@functools.cache
def _fresh(n: int) -> Points:
    return draw(n, np.random.default_rng(2))


@functools.cache
def _config(group: str) -> Config:
    return tasks.resolve(settings_of([*NETWORK, *GROUPS[group]]), "classes", num_outputs=2)
