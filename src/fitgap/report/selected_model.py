"""What the report shows of test predictions: the selected model's errors, and McNemar's tests.

Reports on the test set: nothing here orders or chooses anything.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fitgap.comparison import disagreement
from fitgap.comparison.disagreement import Disagreement
from fitgap.comparison.groups import Group, Section
from fitgap.comparison.varying_settings import parse
from fitgap.config.schema import DatasetConfig, PublishedConfig, SplitConfig
from fitgap.config.settings import dataset_schema
from fitgap.data import datasets, readers
from fitgap.data.before_training import is_image
from fitgap.data.datasets import Dataset
from fitgap.errors import RequestError, first_line
from fitgap.store import StoredRun
from fitgap.store import predictions as stored_predictions
from fitgap.store.predictions import StoredOutputs, StoredPredictions
from fitgap.store.recorded_metrics import higher_is_better
from fitgap.tag_names import DATASET_TAG

MOST_ERRORS = 12  # images
MOST_TESTED = 20  # groups; each is a file to read

_UNREADABLE = "this version cannot read the settings of the run's data"
_OF_WRONG_SETTINGS = (ArithmeticError, AttributeError, OSError, TypeError, ValueError)


@dataclass(frozen=True, eq=False)
class WrongImage:
    """A test image of another class than predicted.

    Attributes
    ----------
    index
        In the test set.
    pixels
        uint8 of shape (height, width[, channels]); None where the data are not on this machine,
        or are features.
    true, predicted
        Names of classes.
    confidence
        Probability of the predicted class.
    """

    index: int
    pixels: NDArray[np.uint8] | None
    true: str
    predicted: str
    confidence: float


@dataclass(frozen=True, eq=False)
class SelectedModel:
    """The model that a person would take: the best run of the selected group by the same metric.

    Attributes
    ----------
    run
        Its record.
    class_names
        Numbers, where the data are not on this machine.
    confusion
        How often each class (row) was taken for each (column); None without predictions.
    errors, wrong
        The most confident errors, and how many there are in all.
    missing
        What cannot be shown, and why.
    predictions
        From which these are; None without them.
    outputs
        Of a model of numbers or label sets, in place of all these but the names.
    """

    run: StoredRun
    class_names: tuple[str, ...] = ()
    confusion: NDArray[np.int64] | None = None
    errors: tuple[WrongImage, ...] = ()
    wrong: int = 0
    missing: tuple[str, ...] = ()
    predictions: StoredPredictions | None = None
    outputs: StoredOutputs | None = None


@dataclass(frozen=True, slots=True)
class Tested:
    """McNemar's test of a group's model against the best group's, or why there is none."""

    seed: str
    found: Disagreement | None
    missing: str


def selected_model(section: Section, *, uri: str) -> SelectedModel | None:
    """Return the selected model and its errors; None where groups are only listed."""
    metric = section.sort
    if metric is None:
        return None
    run = _best_run(section.groups[0], metric)
    try:
        predictions = stored_predictions.load(run, uri=uri)
    except stored_predictions.NoClassesError:
        return _without_classes(run, uri=uri)
    except RequestError as error:
        why = f"No confusion matrix and no errors: {error}."
        return SelectedModel(run, missing=(why,))
    missing = []
    dataset = None
    try:
        dataset = _dataset_of(run)
        if not np.array_equal(dataset.y_test, predictions.true):
            raise RequestError("its test labels are not those of the run")
    except RequestError as error:
        dataset = None
        missing.append(f"No images and no names of classes: {first_line(error)}.")
    seen = int(max(predictions.true.max(), predictions.predicted.max())) + 1
    names = dataset.class_names if dataset and dataset.num_classes >= seen else ()
    names = names or tuple(map(str, range(seen)))
    errors = tuple(
        WrongImage(
            index=i,
            pixels=dataset.x_test[i] if dataset and is_image(dataset) else None,
            true=names[predictions.true[i]],
            predicted=names[predictions.predicted[i]],
            confidence=float(predictions.confidence[i]),
        )
        for i in predictions.most_confident_errors(MOST_ERRORS)
    )
    return SelectedModel(
        run=run,
        class_names=names,
        confusion=predictions.confusion(len(names)),
        errors=errors,
        wrong=int(np.count_nonzero(~predictions.is_right)),
        missing=tuple(missing),
        predictions=predictions,
    )


def _without_classes(run: StoredRun, *, uri: str) -> SelectedModel:
    try:
        outputs = stored_predictions.load_outputs(run, uri=uri)
    except RequestError as error:
        return SelectedModel(run, missing=(f"No errors: {error}.",))
    count = outputs.true.shape[1]
    names: tuple[str, ...] = ()
    missing = []
    try:
        names = tuple(_dataset_of(run).class_names)
    except RequestError as error:
        missing.append(f"No names of the targets: {first_line(error)}.")
    names = names if len(names) == count else tuple(map(str, range(count)))
    return SelectedModel(run, names, missing=tuple(missing), outputs=outputs)


def mcnemar_tests(section: Section, *, uri: str) -> list[Tested | None]:
    """Compare one model of each of the first groups with one of the best group.

    The models are those of the first seed that both groups have: a rule that looks at no result.
    Counts of several seeds are not added up, since all seeds share the same images.

    Returns
    -------
    list
        One per group, as far as `MOST_TESTED`; None for the best itself.
    """
    if section.sort is None:
        return []
    best = section.groups[0]
    loaded: dict[str, StoredPredictions] = {}

    def load(run: StoredRun) -> StoredPredictions:
        if run.run_id not in loaded:
            loaded[run.run_id] = stored_predictions.load(run, uri=uri)
        return loaded[run.run_id]

    return [None, *(_tested(best, group, load=load) for group in section.groups[1:MOST_TESTED])]


def _tested(best: Group, group: Group, *, load: Callable[[StoredRun], StoredPredictions]) -> Tested:
    of_best = {run.params.get("seed"): run for run in reversed(best.runs)}
    pair = next(
        ((of_best[seed], run) for run in group.runs if (seed := run.params.get("seed")) in of_best),
        None,
    )
    if pair is None:
        return Tested("", None, "no common seed")
    seed = pair[1].params.get("seed", "")
    try:
        first, second = map(load, pair)
        return Tested(seed, disagreement.compare(first, second), "")
    except RequestError as error:
        return Tested(seed, None, str(error))


def _best_run(group: Group, metric: str) -> StoredRun:
    def badness(run: StoredRun) -> float:
        value = run.metrics.get(metric, math.nan)
        if not math.isfinite(value):
            return math.inf
        return -value if higher_is_better(metric, group.runs) else value

    return min(group.runs, key=badness)


def _dataset_of(run: StoredRun) -> Dataset:
    """Load a run's data if this machine has them; a report does not download any."""
    prefix = "dataset."
    plain = {k.removeprefix(prefix): v for k, v in run.params.items() if k.startswith(prefix)}
    if (name := plain.get("name")) not in datasets.DATASETS:
        raise RequestError(f"there is no dataset={name}")
    try:
        schema = dataset_schema(name)
        # What a record says need not be of the fields' types; who reads the data finds out.
        settings = schema(**{key: parse(value) for key, value in plain.items()})  # type: ignore[arg-type]
    except TypeError as error:
        raise RequestError(_UNREADABLE) from error
    candidates: Sequence[DatasetConfig] = [settings]
    if isinstance(settings, PublishedConfig) and settings.data_dir:
        # Recorded elsewhere; the digest tells whether another source has the same data.
        candidates = [settings, replace(settings, data_dir=None)]
    reason = f"dataset={settings.name} is not on this machine"
    for one in candidates:
        try:
            found = readers.fingerprint(one)
            dataset = None if found is None else datasets.load(one, split=_split_columns(run))
        except RequestError as error:
            reason = str(error)
            continue
        except _OF_WRONG_SETTINGS:
            reason = _UNREADABLE
            continue
        if dataset is not None:
            digest = run.tags.get(DATASET_TAG)
            if digest in (dataset.digest, dataset.arrays_digest):
                return dataset
            reason = f"dataset={settings.name} on this machine has other bytes than the run's"
    raise RequestError(reason)


def _split_columns(run: StoredRun) -> SplitConfig:
    """Return those settings of a run's split that decide which rows are its test part."""
    group, order = (parse(run.params.get(f"split.{key}", "null")) for key in ("group", "order"))
    return SplitConfig(
        group=None if group is None else str(group), order=None if order is None else str(order)
    )
