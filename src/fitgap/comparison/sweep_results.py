"""A recorded sweep over one setting and its replicates, read back: which run answers which job.

The parent run keeps each job's overrides and identity (``plan.json``). Looking the runs up by
identity finds those too that an earlier sweep had finished.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fitgap import store
from fitgap.comparison.replicates import REPLICATE_KEYS
from fitgap.config import program
from fitgap.errors import RequestError
from fitgap.store import StoredRun
from fitgap.sweep import plan
from fitgap.sweep.plan import PlannedJob
from fitgap.tag_names import IDENTITY_TAG, ROLE_TAG
from fitgap.trust.text import whole_number

if TYPE_CHECKING:
    from fitgap.charts.picture import Picture


@dataclass(frozen=True)
class SweepResults:
    """The finished runs of a sweep over one setting.

    Attributes
    ----------
    uri, experiment
        Where they are.
    parent
        Run id of the sweep.
    runs
        By the setting's value as it was written, in the order of the sweep, and by what tells
        replicates apart: the seed, and the seed and fold of the split.
    missing
        How many of the sweep's jobs have no finished run.
    """

    uri: str
    experiment: str
    parent: str
    runs: Mapping[str, Mapping[Hashable, StoredRun]]
    missing: int


def read(
    uri: str, *, experiment: str, setting: str, sweep: str | None = None, start: str
) -> SweepResults:
    """Return the runs of the newest sweep over a setting.

    Parameters
    ----------
    uri, experiment
        Where the record is.
    setting
        The varied setting or group, as ``remedy``; besides it only ``seed``, ``split.seed`` and
        ``split.fold`` may vary.
    sweep
        Run id of the parent, to take that one instead of the newest.
    start
        The command that makes such a sweep, for the error message.

    Raises
    ------
    RequestError
        If there is no such sweep, it varies something else too, or no run of it has finished.
    """
    parents = store.find_runs(
        uri, experiment=experiment, statuses=store.ANY_STATUS, tags={ROLE_TAG: "sweep"}
    )
    for parent in parents:
        if sweep is not None and parent.run_id != sweep:
            continue
        jobs = _jobs(uri, parent)
        if len({value for job in jobs if (value := _value(job, setting)) is not None}) > 1:
            return _results(uri, experiment, parent.run_id, jobs, setting=setting)
    which = f"run {sweep} is" if sweep else "there is"
    raise RequestError(
        f"experiment {experiment!r} in {store.redact(uri)}: {which} no sweep over {setting}",
        f"Make one with: {program.name()} {start}",
    )


def _jobs(uri: str, parent: StoredRun) -> Sequence[PlannedJob]:
    """Return a sweep's jobs; none of a search, or of a sweep that ended before it began."""
    text = store.artifact_text(parent, plan.FILE_NAME, uri=uri)
    if text is None:
        return ()
    try:
        return plan.from_json(text).jobs
    except ValueError:
        return ()


def _settings(job: PlannedJob) -> dict[str, str]:
    parts = (override.partition("=") for override in job.overrides)
    return {key.lstrip("+"): value for key, _, value in parts}


def _value(job: PlannedJob, setting: str) -> str | None:
    return _settings(job).get(setting)


def _results(
    uri: str,
    experiment: str,
    parent: str,
    jobs: Sequence[PlannedJob],
    *,
    setting: str,
) -> SweepResults:
    others = _varying(map(_settings, jobs)) - {setting, *REPLICATE_KEYS}
    if others:
        raise RequestError(
            f"sweep {parent} varies {', '.join(sorted(others))} besides {setting} and "
            f"replicates ({', '.join(REPLICATE_KEYS)}); "
            "make a sweep of its own for each, and name it with --sweep"
        )
    finished = {
        run.tags.get(IDENTITY_TAG): run
        for run in reversed(store.find_runs(uri, experiment=experiment))  # the newest stays
    }
    runs: dict[str, dict[Hashable, StoredRun]] = {}
    missing = 0
    for job in jobs:
        run = finished.get(job.identity)
        value = _value(job, setting)
        if run is None or value is None:
            missing += 1
        else:
            replicate = tuple(run.params.get(key, "") for key in REPLICATE_KEYS)
            runs.setdefault(value, {})[replicate] = run
    if not runs:
        raise RequestError(f"no run of the sweep {parent} has finished yet")
    return SweepResults(uri, experiment, parent, runs, missing)


def _varying(settings: Iterable[Mapping[str, str]]) -> set[str]:
    values: dict[str, set[str | None]] = {}
    settings = list(settings)
    for key in {key for one in settings for key in one}:
        values[key] = {one.get(key) for one in settings}
    return {key for key, found in values.items() if len(found) > 1}


def require_validation(name: str, runs: Iterable[StoredRun], *, for_what: str) -> None:
    """Refuse runs that lack a metric on validation data.

    Parameters
    ----------
    name
        Of the metric, without a partition.
    runs
        Of a sweep.
    for_what
        What needs it, as the beginning of a sentence that ends in "a validation partition".

    Raises
    ------
    RequestError
        If a run has no such figure.
    """
    for run in runs:
        if f"val/{name}" in run.metrics and f"gap/{name}" in run.metrics:
            continue
        if "val/loss" in run.metrics:
            raise RequestError(
                f"run {run.run_id} has no val/{name}, by which the sweep's runs are compared"
            )
        raise RequestError(
            f"run {run.run_id} has no val/{name}: {for_what} a validation partition, which "
            "split=none leaves out"
        )


def title(results: SweepResults) -> str:
    """Return what was trained: data, number of images, architecture, epochs."""
    run = next(iter(next(iter(results.runs.values())).values()))
    names = [run.params.get(f"{group}.name", "") for group in ("dataset", "architecture")]
    most = max(
        whole_number(run.params.get("train_samples")) or 0
        for by in results.runs.values()
        for run in by.values()
    )
    epochs = run.params.get("training.epochs")
    return f"{names[0]}, {most:,} training samples, {names[1]}, up to {epochs} epochs"


def write(results: SweepResults, folder: Path, *, name: str, text: str, picture: "Picture") -> None:
    """Write the result of a sweep as Markdown, PNG and SVG, into a folder and into its parent run.

    Parameters
    ----------
    results
        Of the sweep.
    folder
        Is made if it does not exist.
    name
        Of the files, without suffix, and of the folder among the artifacts.
    text
        The Markdown, to which the picture is added.
    picture
        Drawn in both formats.

    Raises
    ------
    RequestError
        If the folder cannot be written.
    """
    import mlflow

    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.md").write_text(f"{text}\n![{name}]({name}.svg)\n", encoding="utf-8")
    except OSError as error:
        raise RequestError(f"--output {folder} cannot be written: {error.strerror}") from error
    for suffix in ("png", "svg"):
        picture.save(folder / f"{name}.{suffix}")
    client = mlflow.MlflowClient(results.uri)
    for suffix in ("md", "png", "svg"):
        client.log_artifact(results.parent, str(folder / f"{name}.{suffix}"), name)
