"""Repeat a run from its record alone, and say whether the bits agree and what could differ.

The new run is one like any other, tagged with the run it repeats. What is compared: the history of
every metric but times, and every array in the file of the network.
"""

import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitgap import experiment, identity, processes, store
from fitgap.config import settings as config
from fitgap.config.parameters import to_text
from fitgap.config.validation import validate
from fitgap.errors import RequestError, first_line
from fitgap.experiment import Plan
from fitgap.store import recorded, recorded_code
from fitgap.store.recorded import RecordedRun
from fitgap.tag_names import COMMIT_TAG, DATASET_TAG, DIRTY_TAG, RERUN_TAG, SOURCE_TAG, SPLIT_TAG
from fitgap.tracking import descriptions, provenance
from fitgap.trust.models import DAMAGE, WEIGHTS, open_weights
from fitgap.trust.text import line

NOT_BITS = ("time/", "throughput/", "system/")  # metrics of the machine, not of the network
ABSENT = "not recorded"


@dataclass(frozen=True)
class Difference:
    """Something that was different when a run was recorded.

    Attributes
    ----------
    what
        A few words.
    then, now
        Its values, as text.
    """

    what: str
    then: str
    now: str


@dataclass(frozen=True)
class Agreement:
    """How far two runs agree, bit for bit.

    Attributes
    ----------
    metrics, arrays
        How many were compared.
    different_metrics, different_arrays
        By name; how they differ, in a few words.
    """

    metrics: int
    arrays: int
    different_metrics: Mapping[str, str]
    different_arrays: Mapping[str, str]

    @property
    def is_complete(self) -> bool:
        """Whether no bit differs."""
        return not self.different_metrics and not self.different_arrays


def plan(run: RecordedRun, *, modules: Collection[str] = ()) -> Plan:
    """Plan the repetition of a run, in its experiment, as a separate run.

    Parameters
    ----------
    run
        Of the record.
    modules
        Those whose classes the record may name besides Keras's, fitgap's and the project's own
        that are as they were recorded; see `fitgap.trust`.

    Raises
    ------
    RequestError
        If its data or its network are missing, its settings are not possible today, or it
        names a class that a record may not.
    """
    # Loggers follow a run and are none of its bits; a record brings none along.
    tracking = replace(
        run.config.tracking,
        uri=run.uri,
        experiment=run.experiment,
        reuse=False,
        parent=None,
        loggers={},
    )
    without_loggers = replace(run.config, tracking=tracking)
    recorded_code.check_targets(config.to_plain(without_loggers), run, trusted=modules)
    validate(run.config)
    with recorded.model_file(run):
        pass  # before anything is trained that could then not be compared
    settings = replace(
        run.config, dataset=run.dataset, tracking=tracking, name=f"{run.name} (again)"
    )
    return replace(experiment.plan(settings), tags={RERUN_TAG: run.run_id})


def differences(run: RecordedRun, planned: Plan) -> list[Difference]:
    """Return what has changed since a run was recorded: code, versions, data, machine.

    Parameters
    ----------
    run
        As recorded.
    planned
        The same experiment, as it would be run now.
    """
    now = provenance.tags() | processes.this_process()
    now[SOURCE_TAG] = planned.sources.digest
    code = _code(run, planned)
    named = {
        **({} if code else {"source of what decides the bits": SOURCE_TAG}),
        **{key.removeprefix("fitgap."): key for key in _version_tags(run.tags, now)},
        "commit": COMMIT_TAG,
        "uncommitted changes": DIRTY_TAG,
        "host": processes.HOST_TAG,
        "processor": provenance.CPU_TAG,
    }
    pairs = {what: (run.tags.get(tag), now.get(tag)) for what, tag in named.items()}
    facts = planned.facts
    pairs |= {
        "data": (run.tags.get(DATASET_TAG), facts.dataset_digest),
        "split": (run.tags.get(SPLIT_TAG), facts.split_digest),
    }
    if planned.choice.xla is not None:  # else the built model decides
        pairs["engine"] = (run.params.get("engine"), descriptions.engine_name(planned.choice))
    pairs |= {
        f"setting {key}": (to_text(value), "there is none")
        for key, value in run.unknown_settings.items()
    }
    return [*code] + [
        Difference(line(what), _shown(then), _shown(today))
        for what, (then, today) in pairs.items()
        if then != today
    ]


def _code(run: RecordedRun, planned: Plan) -> list[Difference]:
    """Return the components and files whose code is another; none where none was recorded."""
    then = recorded_code.fingerprints(run)
    now = {
        name: value[: recorded_code.SHORT] for name, value in planned.sources.fingerprints.items()
    }
    return [
        Difference(
            line(name), line(then.get(name, "there was none")), now.get(name, "there is none")
        )
        for name in dict.fromkeys([*then, *now])
        if then and then.get(name) != now.get(name)
    ]


def compare(first: RecordedRun, second: RecordedRun) -> Agreement:
    """Compare two runs of one record bit for bit.

    Parameters
    ----------
    first, second
        Finished runs of the same experiment, in one store.

    Raises
    ------
    RequestError
        If the network of one cannot be read.
    """
    keys = sorted(
        key for key in first.metrics.keys() | second.metrics.keys() if not key.startswith(NOT_BITS)
    )
    histories = store.metric_histories(first.uri, run_ids=[first.run_id, second.run_id], keys=keys)
    of_first, of_second = (histories[run.run_id] for run in (first, second))
    metrics = {
        key: history_difference(of_first.get(key, {}), of_second.get(key, {})) for key in keys
    }
    with recorded.model_file(first) as one, recorded.model_file(second) as other:
        arrays, others = read_arrays(one), read_arrays(other)
    found = {
        name: array_difference(arrays.get(name), others.get(name))
        for name in dict.fromkeys([*arrays, *others])
    }
    return Agreement(
        metrics=len(metrics),
        arrays=len(found),
        different_metrics={key: difference for key, difference in metrics.items() if difference},
        different_arrays={name: difference for name, difference in found.items() if difference},
    )


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return every array in a file of Keras's format, by its place there.

    Raises
    ------
    RequestError
        If one cannot be read.
    """
    import h5py

    arrays: dict[str, NDArray[Any]] = {}

    def keep(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset):
            arrays[name] = np.asarray(node)

    try:
        with zipfile.ZipFile(path) as archive, open_weights(archive.read(WEIGHTS)) as file:
            file.visititems(keep)
    except (OSError, SystemError, *DAMAGE) as error:
        raise RequestError(
            f"the arrays of a network cannot be read: {first_line(error)}"
        ) from error
    return arrays


def _version_tags(*tags: Mapping[str, str]) -> list[str]:
    found = {key for some in tags for key in some if key.startswith(provenance.VERSION_PREFIX)}
    # Those that do the arithmetic first.
    first = [f"{provenance.VERSION_PREFIX}{name}" for name in identity.LIBRARIES]
    return sorted(found, key=lambda key: (key not in first, key))


def _shown(value: str | None) -> str:
    if value is None:
        return ABSENT
    is_digest = len(value) >= 40 and all(c in "0123456789abcdef" for c in value)
    return value[:12] if is_digest else line(value)


def history_difference(first: Mapping[int, float], second: Mapping[int, float]) -> str:
    """Return in words how two histories of a metric differ; empty if they are equal.

    Parameters
    ----------
    first, second
        The recorded and the new values by step.
    """
    if first.keys() != second.keys():
        return f"{len(first)} values then, {len(second)} now"
    for step, value in first.items():
        if np.float64(value).tobytes() != np.float64(second[step]).tobytes():
            return f"{value!r} then, {second[step]!r} now, at step {step}"
    return ""


def array_difference(first: NDArray[Any] | None, second: NDArray[Any] | None) -> str:
    """Return in words how two arrays differ; empty if all their bits are equal.

    Parameters
    ----------
    first, second
        The recorded and the new weights; None if a file does not have them.
    """
    if first is None or second is None:
        return "only there now" if first is None else "only there then"
    if (first.dtype, first.shape) != (second.dtype, second.shape):
        return f"{first.dtype} {first.shape} then, {second.dtype} {second.shape} now"
    if first.tobytes() == second.tobytes():
        return ""
    by = np.abs(first.astype(np.float64) - second.astype(np.float64)).max()
    return f"{np.count_nonzero(first != second)} of {first.size} numbers, by up to {by:.2g}"
