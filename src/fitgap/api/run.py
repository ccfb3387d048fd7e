"""One run of the record, as Python and notebooks see it."""

import functools
import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fitgap import store
from fitgap.config.parameters import without_volatile
from fitgap.config.schema import Config
from fitgap.errors import RequestError
from fitgap.evaluation.figures import figure_text
from fitgap.store import StoredRun
from fitgap.store.artifacts import local_folder
from fitgap.tag_names import FAILURE_TAG, IDENTITY_TAG, ROLE_TAG

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from fitgap.store.recorded import RecordedRun

_OF_EPOCHS = ("running/", "train/", "val/", "gap/")
_OTHER_OF_EPOCHS = ("learning_rate", "optimizer/learning_rate")
_SHOWN = ("train/", "val/", "gap/", "test/", "test_gap/")


class Run:
    """A run: its figures, history, settings, files and network, read when they are first used.

    Attributes
    ----------
    id, name, status
        As in MLflow.
    uri, experiment
        Where its record is.
    metrics
        The figures of the saved weights, by name: ``val/accuracy``, ``gap/accuracy``, ...
    params
        Its settings as MLflow shows them: text.
    failure
        Why it failed; None if it did not.
    """

    def __init__(self, stored: StoredRun, *, uri: str, experiment: str) -> None:
        self.id = stored.run_id
        self.name = stored.name
        self.status = stored.status
        self.uri = uri
        self.experiment = experiment
        self.metrics = dict(stored.metrics)
        self.params = dict(stored.params)
        self.failure = stored.tags.get(FAILURE_TAG) if stored.status == "FAILED" else None
        self._artifact_uri = stored.artifact_uri

    @functools.cached_property
    def history(self) -> "pd.DataFrame":
        """The figures of each epoch: a row per epoch (from 1), a column per metric."""
        import pandas as pd

        keys = [
            name for name in self.metrics if name.startswith(_OF_EPOCHS) or name in _OTHER_OF_EPOCHS
        ]
        found = store.metric_histories(self.uri, run_ids=[self.id], keys=keys)[self.id]
        # Where an earlier epoch's weights were saved, their figures stand behind the last epoch.
        epochs = max((len(found[key]) for key in found if key.startswith("running/")), default=0)
        frame = pd.DataFrame(found)
        frame = frame[frame.index <= epochs] if epochs else frame
        return frame.sort_index().rename_axis("epoch")

    @property
    def config(self) -> Config:
        """The settings it was trained with."""
        return self._recorded.config

    @functools.cached_property
    def model(self) -> "keras.Model":
        """The network with the weights that the figures belong to; not compiled.

        It takes raw data, because its first layer scales them.
        """
        from fitgap import prediction

        return prediction.load_model(self._recorded)

    def predict(self, x: Any) -> NDArray[np.float32]:
        """Return what the network predicts for images or rows.

        Parameters
        ----------
        x
            Shape (n, ...), as in the data, not scaled; a single image or row needs no first axis.
            For a table: a DataFrame with the raw columns that the network uses, or an array with
            these columns in their order.

        Returns
        -------
        ndarray
            float32 of shape (n, classes): probabilities. For regression, numbers of shape
            (n, targets).

        Raises
        ------
        RequestError
            If the network takes another shape, or a column is missing.
        """
        import pandas as pd

        from fitgap import prediction
        from fitgap.config.tasks import task_of
        from fitgap.data import rows

        columns = list(rows.named_inputs(self.model))
        if not hasattr(x, "columns"):
            x = np.asarray(x)
            shape = (len(columns),) if columns else tuple(self.model.input_shape[1:])
            if x.shape == shape:
                x = x[None]
            if len(x.shape) != len(shape) + 1 or x.shape[1:] != shape:
                raise RequestError(f"predict takes shape (n, {str(shape)[1:]}, got {x.shape}")
            if columns:
                x = pd.DataFrame(x, columns=columns)
        task = task_of(self._recorded.config).name
        return prediction.outputs_of(self.model, x, task=task)

    @functools.cached_property
    def artifacts(self) -> Path:
        """The folder with the run's files, which are first fetched if they are on a server."""
        if (folder := local_folder(self._artifact_uri)) is not None:
            return folder
        import mlflow

        store.use_in_mlflow(self.uri)
        return Path(mlflow.artifacts.download_artifacts(run_id=self.id, tracking_uri=self.uri))

    @functools.cached_property
    def _recorded(self) -> "RecordedRun":
        from fitgap.store import recorded

        return recorded.open_run(self.id, uri=self.uri)

    def __repr__(self) -> str:
        figures = ", ".join(f"{name} {figure_text(value)}" for name, value in self._shown())
        return f"<Run {self.name!r} {self.id[:8]} {self.status}: {figures or self.failure}>"

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><td>{html.escape(name)}</td>"
            f"<td style='text-align:right'>{figure_text(value)}</td></tr>"
            for name, value in self._shown()
        )
        reason = f"<p>{html.escape(self.failure)}</p>" if self.failure else ""
        head = f"<b>{html.escape(self.name)}</b> <small>{self.id[:8]} {self.status}</small>"
        return f"<div>{head}{reason}<table>{cells}</table></div>"

    def _shown(self) -> list[tuple[str, float]]:
        return [(name, value) for name, value in self.metrics.items() if name.startswith(_SHOWN)]


class Runs(list[Run]):
    """Several runs, the newest last or in the order of the request.

    Attributes
    ----------
    failures
        How many of the requested runs failed, or could not begin because their network cannot be
        built; these are not in the list.
    """

    def __init__(self, runs: Iterable[Run] = (), *, failures: int = 0) -> None:
        super().__init__(runs)
        self.failures = failures

    def to_frame(self) -> "pd.DataFrame":
        """Return a table with a row for each run.

        Its columns are the run's name and status, the settings that differ, the figures of each
        partition, the seconds of training, what else was measured, and all other settings.
        """
        import pandas as pd

        rows = [
            {**run.params, **run.metrics, "name": run.name, "status": run.status} for run in self
        ]
        metrics = list(dict.fromkeys(name for run in self for name in run.metrics))
        figures = [name for part in _SHOWN for name in metrics if name.startswith(part)]
        known = dict.fromkeys(name for row in rows for name in row)
        first = ["name", "status", *self._differing(), *figures, "time/fit_seconds", *metrics]
        columns = [name for name in dict.fromkeys([*first, *known]) if name in known]
        index = pd.Index([run.id for run in self], name="run")
        return pd.DataFrame(rows, columns=columns, index=index)

    def _differing(self) -> list[str]:
        """Return the settings that a person varied between these runs."""
        from fitgap.comparison.varying_settings import DERIVED, differing_keys, key_of

        names = dict.fromkeys(key for run in self for key in run.params)
        keys = [
            key
            for key in without_volatile(names)
            if key not in DERIVED and len({run.params.get(key) for run in self}) > 1
        ]
        variants = [tuple(run.params.get(key) for key in keys) for run in self]
        return [key_of(name) for name in differing_keys(variants, decide=keys)]

    def _repr_html_(self) -> str:
        import pandas as pd

        figures = [{"name": run.name, "status": run.status, **dict(run._shown())} for run in self]
        return str(pd.DataFrame(figures).to_html(float_format=figure_text))


def find(uri: str, *, experiment: str, identities: Sequence[str] | None = None) -> Runs:
    """Return an experiment's runs that ended.

    Parameters
    ----------
    uri, experiment
        Where they are.
    identities
        Identities of the runs to return, in that order. None: all runs, the oldest first.
    """
    found = store.find_runs(
        uri, experiment=experiment, statuses=("FINISHED", "FAILED"), tags={ROLE_TAG: "run"}
    )
    ordered: list[StoredRun] = list(reversed(found))
    if identities is not None:
        # Of several, the newest, and a finished one before one that failed.
        by_identity = {run.tags.get(IDENTITY_TAG): run for run in ordered if _failed(run)}
        by_identity |= {run.tags.get(IDENTITY_TAG): run for run in ordered if not _failed(run)}
        ordered = [by_identity[each] for each in identities if each in by_identity]
    without_run = 0 if identities is None else len(identities) - len(ordered)
    return Runs(
        (Run(stored, uri=uri, experiment=experiment) for stored in ordered),
        failures=sum(map(_failed, ordered)) + without_run,
    )


def _failed(run: StoredRun) -> bool:
    return run.status != "FINISHED"
