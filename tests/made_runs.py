"""Runs made by hand, for tests of comparisons: no store, no training."""

import dataclasses
import itertools

from fitgap.comparison.query import Query
from fitgap.comparison.ranking import compare
from fitgap.config.parameters import to_text
from fitgap.store import StoredRun

SETTINGS = {
    "dataset.name": "digits",
    "split.name": "holdout",
    "split.seed": 42,
    "architecture.name": "dense_relu_100",
    "architecture.units": [100],
    "optimizer.name": "sgd",
    "optimizer.learning_rate": 0.01,
    "optimizer.momentum": 0.0,
    "loss.name": "mse",
    "training.epochs": 5,
    "training.engine": "auto",
    "seed": 0,
}
_count = itertools.count(1)


def make_run(changes=None, *, metrics=None, data="d1", split="s1", identity=None, **tags):
    """Return a run newer than those made before; a setting changed to None is not logged."""
    number = next(_count)
    settings = SETTINGS | (changes or {})
    return StoredRun(
        run_id=f"run{number:04}",
        name="",
        status="FINISHED",
        start_time=number,
        params={key: to_text(value) for key, value in settings.items() if value is not None},
        metrics={"val/accuracy": 0.9} if metrics is None else metrics,
        tags={
            "fitgap.role": "run",
            "fitgap.identity": identity or f"identity{number}",
            "fitgap.dataset_digest": data,
            "fitgap.split_digest": split,
            **tags,
        },
    )


def compare_newest_first(runs, **options):
    return compare(sorted(runs, key=lambda run: -run.start_time), Query(**options))


def only_section(runs, **options):
    (section,) = compare_newest_first(runs, **options).sections
    return section


def settings_of(runs, **options):
    return [group.settings for group in only_section(runs, **options).groups]


OPTIMIZERS = ("adam", "sgd")


def grid(values, **options):
    """Return runs of two optimizers over the seeds, with the accuracies given for each."""
    return [
        make_run({"optimizer.name": name, "seed": seed}, metrics={"val/accuracy": value}, **options)
        for name, accuracies in zip(OPTIMIZERS, values, strict=True)
        for seed, value in enumerate(accuracies)
    ]


def with_status(run, status):
    return dataclasses.replace(run, status=status)


def several(values, **options):
    """Return runs of groups named by epochs 0, 1, ..., over the seeds."""
    return [
        make_run({"training.epochs": i, "seed": seed, **options}, metrics={"val/accuracy": value})
        for i, accuracies in enumerate(values)
        for seed, value in enumerate(accuracies)
    ]


def over_splits(values, **options):
    return [
        make_run(
            {
                "optimizer.name": name, "split.seed": i, "seed": seed,
                "train_samples": 400, "val_samples": 100, **options,
            },
            split=f"s{i}",
            metrics={"val/accuracy": value},
        )
        for name, splits in values.items()
        for i, seeds in enumerate(splits)
        for seed, value in enumerate(seeds)
    ]  # fmt: skip
