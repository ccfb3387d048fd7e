"""The figures of a run under the names that the record uses."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from fitgap.config.schema import Config
from fitgap.evaluation.baseline import baseline
from fitgap.evaluation.metrics import higher_is_better, metrics_of
from fitgap.evaluation.scores import Scores, gap

if TYPE_CHECKING:
    from fitgap.training.data import Data
    from fitgap.training.loop import Epoch, Fitted


def of_epoch(epoch: "Epoch", config: Config) -> dict[str, float]:
    """Return an epoch's figures; the metrics' directions decide the signs of the gaps.

    Parameters
    ----------
    epoch
        Its scores and its learning rate.
    config
        The experiment; its metrics have directions.
    """
    return {"learning_rate": epoch.learning_rate} | of_scores(
        train=epoch.train,
        val=epoch.val,
        running=epoch.running,
        higher_is_better=higher_is_better(config),
    )


def of_saved_weights(
    fitted: "Fitted", test: Scores, *, config: Config, data: "Data"
) -> dict[str, float]:
    """Return the figures of the saved weights, the baseline's, and what the training cost.

    Parameters
    ----------
    fitted, test
        The training, and the scores of the test partition.
    config, data
        What was trained, and on what.
    """
    partitions, dataset = data.partitions, data.dataset
    metrics = of_scores(
        train=fitted.train, val=fitted.val, test=test, higher_is_better=higher_is_better(config)
    )
    metrics |= baseline(
        partitions.train,
        partitions.val or partitions.test,
        metrics=metrics_of(config),
        task=dataset.task,
        num_outputs=dataset.num_classes,
    )
    samples_seen = len(partitions.train) * len(fitted.epochs)
    metrics["time/fit_seconds"] = fitted.fit_seconds
    metrics["throughput/samples_per_second"] = samples_seen / fitted.fit_seconds
    return metrics if fitted.best_epoch is None else metrics | {"best_epoch": fitted.best_epoch}


def of_scores(
    *,
    train: Scores | None,
    val: Scores | None,
    running: Scores | None = None,
    test: Scores | None = None,
    higher_is_better: Collection[str],
) -> dict[str, float]:
    """Return the metrics of one set of weights.

    Parameters
    ----------
    train, val, running, test
        Scores of the partitions; None: not known.
    higher_is_better
        The metrics that are better the higher they are; it decides the sign of the gaps.
    """
    metrics: dict[str, float] = {}
    for name, scores in (("train", train), ("val", val), ("test", test), ("running", running)):
        if scores is not None:
            metrics |= _named(name, scores)
    for name, unseen in (("gap", val), ("test_gap", test)):
        if train is not None and unseen is not None:
            between = gap(train, unseen, higher_is_better=higher_is_better)
            metrics |= _named(name, between)
    return metrics


def _named(prefix: str, scores: Scores) -> dict[str, float]:
    return {f"{prefix}/{name}": value for name, value in scores.items()}
