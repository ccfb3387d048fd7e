"""Figures besides the loss: what each is, its direction, and its value on a partition.

A metric is one YAML file of ``conf/metrics``. What computes it is a function of scikit-learn or
of the user, one of scikit-learn's scorers by name, or a class of ``keras.metrics``; each is given
the targets and the network's outputs over the whole partition at once, so no value is an average
of batches.
"""

import inspect
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitgap.config import targets, tasks
from fitgap.config.schema import Config, MetricConfig
from fitgap.errors import RequestError, about, first_line

THRESHOLD = 0.5  # above this probability, a label counts as predicted
Array = NDArray[Any]


@dataclass(frozen=True)
class Metric:
    """A figure that says how well a network does.

    Attributes
    ----------
    name
        As in the record: ``val/<name>``.
    direction
        1 if higher is better, -1 if lower is.
    bounds
        Its least and its largest possible value; None where there is none.
    phrase
        What it is, for a reader of a report.
    is_share
        Whether it is a share of the samples.
    each_epoch
        Whether it is computed after each epoch, not only at the end.
    """

    name: str
    direction: int
    bounds: tuple[float | None, float | None]
    phrase: str
    is_share: bool
    each_epoch: bool
    node: MetricConfig

    def compute(self, y: Array, outputs: Array, *, task: str) -> float:
        """Return its value over a partition.

        Parameters
        ----------
        y
            Class numbers of shape (n,); or numbers of shape (n,) or (n, outputs); or label sets,
            0 and 1 of shape (n, labels).
        outputs
            Of shape (n, outputs): probabilities, or numbers.
        task
            ``classes``, ``numbers`` or ``label_sets``.

        Raises
        ------
        UndefinedError
            If it has no value on these targets.
        """
        value = _function(self)(y, outputs, task)
        try:
            number = float(value)
        except (TypeError, ValueError) as error:
            raise RequestError(
                f"metrics={self.name} must give one number, got {str(value)[:60]!r}; "
                "choose how it averages"
            ) from error
        if not math.isfinite(number):
            raise UndefinedError(f"its value there is {number}")
        return number


class UndefinedError(Exception):
    """A metric has no value on some targets, for example those of one class only."""


def metrics_of(config: Config) -> tuple[Metric, ...]:
    """Return the metrics of an experiment whose settings are resolved, the primary one first."""
    of_each_epoch = tasks.metrics_of_each_epoch(config.metrics)
    return tuple(
        metric_of(name, node, each_epoch=name in of_each_epoch)
        for name, node in config.metrics.items()
    )


def metric_of(name: str, node: MetricConfig, *, each_epoch: bool) -> Metric:
    """Return a metric from its settings.

    Parameters
    ----------
    name
        Under which it is recorded.
    node
        Its settings, as in ``conf/metrics/``.
    each_epoch
        Whether it is computed after each epoch, and not only at the end.
    """
    low, high = node.bounds
    return Metric(
        name=name,
        direction=1 if node.direction == "higher" else -1,
        bounds=(low, high),
        phrase=node.phrase,
        is_share=node.is_share,
        each_epoch=each_epoch,
        node=node,
    )


def higher_is_better(config: Config) -> frozenset[str]:
    """Return the names of an experiment's metrics for which higher is better."""
    return frozenset(name for name, node in config.metrics.items() if node.direction == "higher")


def describe(metrics: Sequence[Metric]) -> list[dict[str, Any]]:
    """Return what a record says about its metrics, so that readers need not guess a direction."""
    return [
        {
            "name": metric.name,
            "direction": metric.direction,
            "bounds": list(metric.bounds),
            "phrase": metric.phrase,
            "is_share": metric.is_share,
        }
        for metric in metrics
    ]


def compute(
    metrics: Sequence[Metric], y: Array, outputs: Array, *, task: str
) -> tuple[dict[str, float], dict[str, str]]:
    """Compute several metrics on one partition.

    Parameters
    ----------
    metrics
        Computed independently of each other.
    y
        Targets of the partition; shape (n,), or (n, targets) of several numbers or labels.
    outputs
        Of the network, as `fitgap.evaluation.scores.network_outputs` returns them; shape
        (n, outputs).
    task
        ``classes``, ``numbers`` or ``label_sets``.

    Returns
    -------
    values
        By name, of the metrics that have a value here.
    undefined
        By name, why another metric has no value.

    Raises
    ------
    RequestError
        If a metric does not fit the task or the data.
    """
    values: dict[str, float] = {}
    undefined: dict[str, str] = {}
    for metric in metrics:
        try:
            values[metric.name] = metric.compute(y, outputs, task=task)
        except RequestError:
            raise
        except Exception as error:  # whatever a function of anybody's raises
            undefined[metric.name] = first_line(error)
    return values, undefined


def check(metrics: Sequence[Metric], y: Array, *, task: str, num_outputs: int) -> None:
    """Try the metrics before anything is trained, on the given targets and artificial outputs.

    Parameters
    ----------
    metrics
        Those of the experiment.
    y
        Targets of the training partition.
    task, num_outputs
        Of the dataset.

    Raises
    ------
    RequestError
        If a metric cannot be had, or fails, or the primary one has no value there.
    """
    outputs = _made_up(len(y), num_outputs, task=task)
    for metric in metrics:
        try:
            metric.compute(y, outputs, task=task)
        except RequestError:
            raise
        except UndefinedError as error:
            if metric is metrics[0]:  # nothing could be ranked; others are absent, and said
                raise RequestError(
                    f"metrics={metric.name} has no value on the targets of this dataset: {error}"
                ) from error
        except Exception as error:
            raise RequestError(
                f"metrics={metric.name} fails on the targets of this dataset: "
                f"{type(error).__name__}: {first_line(error)}"
            ) from error


def _made_up(n: int, num_outputs: int, *, task: str) -> Array:
    random = np.random.default_rng(0).random((n, num_outputs)).astype(np.float32)
    return random / random.sum(axis=1, keepdims=True) if task == "classes" else random


def predicted_labels(outputs: Array, *, task: str) -> Array:
    """Return what a network predicts: the class of each sample, or whether each label is given.

    Parameters
    ----------
    outputs
        Probabilities; shape (n, outputs).
    task
        ``classes`` or ``label_sets``.

    Returns
    -------
    array of int64
        Of classes: the numbers, shape (n,). Of label sets: 0 or 1, shape (n, labels).
    """
    return outputs.argmax(axis=1) if task == "classes" else (outputs > THRESHOLD).astype(np.int64)


def _function(metric: Metric) -> Callable[[Array, Array, str], Any]:
    node = metric.node
    if node.scorer is not None:
        return _by_scorer(metric.name, node.scorer)
    assert node.function is not None  # checked with the settings
    settings = dict(node.function)
    target = str(settings.pop("_target_"))
    if target == "sklearn.metrics.accuracy_score" and not settings:
        # The same value; but scikit-learn takes a second to import, and each epoch asks for it.
        return lambda y, outputs, task: _accuracy(y, predicted_labels(outputs, task=task))
    with about(f"metrics={metric.name}"):
        found = targets.locate(target)
    if inspect.isclass(found):
        return _by_keras(metric.name, found, settings)
    return _by_function(found, settings, needs=node.needs)


def _accuracy(y: Array, predicted: Array) -> float:
    """Return the share of samples that are wholly right: of label sets, with every label."""
    right = y == predicted
    return float(np.mean(right if right.ndim == 1 else right.all(axis=1)))


def _by_function(
    function: Callable[..., Any], settings: Mapping[str, Any], *, needs: str
) -> Callable[[Array, Array, str], Any]:
    def call(y: Array, outputs: Array, task: str) -> Any:
        arguments = dict(settings)
        if needs == "labels":
            return _strictly(function, y, predicted_labels(outputs, task=task), **arguments)
        if task == "numbers":
            true = y.astype(np.float64)
            return _strictly(
                function, true, outputs.astype(np.float64).reshape(true.shape), **arguments
            )
        if task == "classes":
            classes = outputs.shape[1]
            # A partition may lack a class, which a function can't know from its targets.
            if "labels" in inspect.signature(function).parameters:
                arguments.setdefault("labels", list(range(classes)))
            if classes == 2:
                outputs = outputs[:, 1]
        return _strictly(function, y, outputs, **arguments)

    return call


def _by_scorer(name: str, scorer: str) -> Callable[[Array, Array, str], Any]:
    from sklearn.metrics import get_scorer

    try:
        found = get_scorer(scorer)
    except ValueError as error:
        raise RequestError(
            f"metrics.{name}.scorer must be one of sklearn.metrics.get_scorer_names(), "
            f"got {scorer!r}"
        ) from error

    def call(y: Array, outputs: Array, task: str) -> Any:
        return _strictly(found, _already_predicted(outputs, task), np.empty((len(y), 0)), y)

    return call


def _already_predicted(outputs: Array, task: str) -> Any:
    """Return an estimator of scikit-learn whose predictions are known."""
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

    class Regressor(RegressorMixin, BaseEstimator):
        def predict(self, _x: Array) -> Array:
            return outputs.squeeze(axis=1) if outputs.shape[1] == 1 else outputs

    class Classifier(ClassifierMixin, BaseEstimator):
        classes_ = np.arange(outputs.shape[1])

        def predict(self, _x: Array) -> Array:
            return predicted_labels(outputs, task=task)

        def predict_proba(self, _x: Array) -> Array:
            return outputs

    return Regressor() if task == "numbers" else Classifier()


def _by_keras(
    name: str, kind: type[Any], settings: Mapping[str, Any]
) -> Callable[[Array, Array, str], Any]:
    import keras

    if not issubclass(kind, keras.metrics.Metric):
        raise RequestError(
            f"metrics.{name}.function._target_ must be a function or a class of keras.metrics, "
            f"got the class {kind.__name__}"
        )

    def call(y: Array, outputs: Array, task: str) -> Any:
        metric = kind(**settings)
        # Keras names those that take class numbers; all others take a row per sample.
        if task == "classes" and not kind.__name__.startswith("Sparse"):
            y = np.eye(outputs.shape[1], dtype=np.float32)[y]
        metric.update_state(y.reshape(len(y), -1) if task == "numbers" else y, outputs)
        return keras.ops.convert_to_numpy(metric.result())

    return call


def _strictly(function: Callable[..., Any], *arguments: Any, **settings: Any) -> Any:
    """Call a function; what scikit-learn only warns of, that it has no value, is an error."""
    from sklearn.exceptions import UndefinedMetricWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", UndefinedMetricWarning)
        try:
            return function(*arguments, **settings)
        except UndefinedMetricWarning as error:
            raise UndefinedError(first_line(error)) from error
