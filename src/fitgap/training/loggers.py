"""Loggers by option (``loggers=[csv,tensorboard]``): figures beside the record, epoch by epoch.

They follow the events of a run, do not change its bits, and are not part of its identity. What
they write is in ``reports/`` of the project folder, which all runs share.
"""

import csv
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fitgap.errors import RequestError, first_line
from fitgap.training.events import Observer, Start


def make(nodes: Mapping[str, Mapping[str, Any]]) -> list[Observer]:
    """Make the loggers that the settings name.

    Parameters
    ----------
    nodes
        ``tracking.loggers``: by name, a ``_target_`` and its arguments.

    Raises
    ------
    RequestError
        If one is missing, or what is made is not a `fitgap.training.events.Observer`.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    made: list[Observer] = []
    for name, node in nodes.items():
        try:
            logger = instantiate(dict(node), _convert_="all")
        except InstantiationException as error:
            reason = error.__cause__ or error
            if isinstance(reason, RequestError):
                raise reason from error
            raise RequestError(f"loggers={name}: {first_line(reason)}") from error
        if not isinstance(logger, Observer):
            raise RequestError(
                f"loggers={name}: {node['_target_']} must make a fitgap.training.events.Observer, "
                f"got {type(logger).__name__}"
            )
        made.append(logger)
    return made


class CsvLogger(Observer):
    """Writes ``reports/csv/<run>.csv``: a line per epoch, as each ends."""

    def on_start(self, start: Start) -> None:
        """Begin a new file; epochs before an interruption are reported again."""
        self._path = _path(start, "csv").with_suffix(".csv")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._columns: list[str] = []

    def on_epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Add a line."""
        row = {"epoch": number, **metrics}
        is_first = not self._columns
        # An undefined metric is absent from an epoch; one that comes later is in history.csv.
        self._columns = self._columns or list(row)
        with self._path.open("w" if is_first else "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self._columns, extrasaction="ignore")
            if is_first:
                writer.writeheader()
            writer.writerow(row)


class TensorBoardLogger(Observer):
    """Writes ``reports/tensorboard/<run>/``, which TensorBoard shows while the run trains."""

    def on_start(self, start: Start) -> None:
        """Begin new files of the run; epochs before an interruption are reported again."""
        import tensorflow as tf

        folder = _path(start, "tensorboard")
        for earlier in folder.glob("events.out.tfevents.*"):
            earlier.unlink()
        self._writer = tf.summary.create_file_writer(str(folder))

    def on_epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Add the figures under the epoch's number."""
        import tensorflow as tf

        # tf.summary.scalar would need the package tensorboard, which only looking needs.
        form = tf.compat.v1.Summary
        values = [form.Value(tag=name, simple_value=value) for name, value in metrics.items()]
        with self._writer.as_default():
            raw = form(value=values).SerializeToString()
            tf.summary.experimental.write_raw_pb(raw, step=number)
        self._writer.flush()

    def on_end(self, metrics: Mapping[str, float] | None, step: int) -> None:
        """Add the saved weights' figures, and close the file."""
        if metrics is not None:
            self.on_epoch(step, {key: metrics[key] for key in metrics if key.startswith("test")})
        self._writer.close()


class WandbLogger(Observer):
    """Sends the figures to Weights & Biases; ``WANDB_MODE=offline`` keeps them in ``reports/``.

    Parameters
    ----------
    project
        Project of W&B. None: the name of the MLflow experiment.
    **settings
        Other arguments of ``wandb.init``, such as ``entity`` and ``mode``.
    """

    def __init__(self, project: str | None = None, **settings: Any) -> None:
        if importlib.util.find_spec("wandb") is None:
            raise RequestError("loggers=wandb needs the package wandb: pip install 'fitgap[wandb]'")
        self._project = project
        self._settings = settings

    def on_start(self, start: Start) -> None:
        """Begin or continue a run of W&B, under the id of the MLflow run."""
        import wandb

        start.folder.mkdir(parents=True, exist_ok=True)
        self._done = start.done
        arguments = {
            "project": self._project or start.experiment,
            "id": start.run_id,
            "name": start.name,
            "config": dict(start.settings),
            "dir": str(start.folder),
            "resume": "allow",
            **self._settings,
        }
        self._run = wandb.init(**arguments)

    def on_epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Add the figures under the epoch's number, unless W&B had them before an interruption."""
        if number > self._done:
            self._run.log(dict(metrics), step=number)

    def on_end(self, metrics: Mapping[str, float] | None, step: int) -> None:
        """Add the saved weights' figures to the summary, and end the run of W&B."""
        del step
        self._run.summary.update(dict(metrics or {}))
        self._run.finish(exit_code=1 if metrics is None else 0)


def _path(start: Start, kind: str) -> Path:
    """Return a run's own place below ``reports/``; its name may hold any character, its id not."""
    readable = "".join(c if c.isalnum() or c in "=.-" else "_" for c in start.name)[:60]
    return start.folder / kind / f"{readable}_{start.run_id[:8]}"
