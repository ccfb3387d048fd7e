"""One finished run of the record, opened to be used: settings, form of its data, network's file.

Records outlive the code: a setting that does not exist any more is set aside, not refused. Nothing
of a record is run: settings are plain YAML, the network is Keras's own file. What they may hold is
said in `fitgap.trust`.
"""

import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from omegaconf import MISSING

from fitgap import store
from fitgap.config import parameters
from fitgap.config import settings as config
from fitgap.config.schema import Config, DatasetConfig, PublishedConfig
from fitgap.data.parts import Format
from fitgap.data.table_format import recorded_format
from fitgap.errors import RequestError, first_line
from fitgap.store import server
from fitgap.tag_names import ROLE_TAG
from fitgap.trust import models, text
from fitgap.trust import settings as trust

if TYPE_CHECKING:
    import mlflow

MOST_VALUES = 100_000_000  # of a sample
_OF_ANOTHER_FORM = (ValueError, TypeError, KeyError, AttributeError, RecursionError)


@dataclass(frozen=True)
class RecordedRun:
    """A run that trained to its end.

    Attributes
    ----------
    uri
        Of its record.
    run_id, name, experiment
        As MLflow shows them.
    config
        The settings it was trained with, as far as they exist today.
    unknown_settings
        Those that do not, by dotted name.
    params, metrics, tags
        Of the record; the latest value of each metric.
    image_shape
        Of one image it takes; empty where the record does not say.
    class_names
        One per class; empty where the record does not say.
    format
        How the table or the texts are written that it learned from.
    model_id
        MLflow's, of the network with the weights that the run's figures belong to.
    """

    uri: str
    run_id: str
    name: str
    experiment: str
    config: Config
    unknown_settings: Mapping[str, Any]
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    image_shape: tuple[int, ...]
    class_names: tuple[str, ...]
    format: Format
    model_id: str

    @property
    def dataset(self) -> DatasetConfig:
        """The dataset's settings, without a folder that only another machine has.

        Their digest shows whether another source has the same data.
        """
        recorded = self.config.dataset
        if not isinstance(recorded, PublishedConfig) or recorded.data_dir is None:
            return recorded
        is_here = Path(recorded.data_dir).is_dir()
        return recorded if is_here else replace(recorded, data_dir=None)


def open_run(run_id: str, *, uri: str) -> RecordedRun:
    """Read a run from the record.

    Parameters
    ----------
    run_id
        MLflow's, or the beginning of it.
    uri
        Of the record; see `fitgap.store.resolve_uri`.

    Raises
    ------
    RequestError
        If there is no such run, it did not train to its end, or its files cannot be read.
    """
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # one small file
    # MLflow's client would create a database under a mistyped path.
    if not store.experiments(uri):
        raise RequestError(f"there are no runs in {store.redact(uri)}")
    if len(run_id) < store.RUN_ID_LENGTH:
        run_id = store.find_run(uri, run_id).run_id
    import mlflow
    from mlflow.exceptions import MlflowException

    client = mlflow.MlflowClient(uri)
    store.use_in_mlflow(uri)  # a server's artifacts are fetched through it
    run = _trained_run(client, run_id, uri=uri)
    try:
        settings, unknown = _settings_of(run, uri=uri)
        experiment = client.get_experiment(run.info.experiment_id).name
        inputs = run.inputs.dataset_inputs if run.inputs else []
        profile = json.loads(inputs[0].dataset.profile or "{}") if inputs else {}
        image_shape = _shape_of(profile.get("test_shape", []))
        class_names = tuple(text.line(name) for name in _texts_of(profile.get("classes", [])))
        # Older records hold the decimal sign alone.
        written = recorded_format(profile.get("format") or profile)
    except RequestError:
        raise
    except (MlflowException, OSError, *_OF_ANOTHER_FORM) as error:
        raise _unreadable(run_id, error) from error
    return RecordedRun(
        uri=uri,
        run_id=run_id,
        name=text.line(run.info.run_name),
        experiment=experiment,
        config=settings,
        unknown_settings=unknown,
        params=run.data.params,
        metrics=run.data.metrics,
        tags=run.data.tags,
        image_shape=image_shape,
        class_names=class_names,
        format=written,
        model_id=run.outputs.model_outputs[-1].model_id,
    )


def _shape_of(test_part: Any) -> tuple[int, ...]:
    """Return the shape of one sample, from that of all in the record."""
    shape = tuple(test_part[1:])
    if not all(type(side) is int and side > 0 for side in shape) or math.prod(shape) > MOST_VALUES:
        raise ValueError("the shape of a sample is impossible")
    return shape


def _texts_of(names: Any) -> list[str]:
    if not isinstance(names, list):
        raise TypeError("the names of the classes are no list")
    return [str(name) for name in names]


def _trained_run(client: "mlflow.MlflowClient", run_id: str, *, uri: str) -> "mlflow.entities.Run":
    """Return a run as MLflow has it, unless it has no model."""
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        raise RequestError(f"there is no run {run_id!r} in {store.redact(uri)}") from error
    has_model = run.outputs and run.outputs.model_outputs
    if run.info.status != "FINISHED" or not has_model:
        kind = "a sweep" if run.data.tags.get(ROLE_TAG) == "sweep" else run.info.status
        raise RequestError(f"run {run_id} ({kind}) has no model; name one that trained to its end")
    return run


def _settings_of(run: "mlflow.entities.Run", *, uri: str) -> tuple[Config, dict[str, Any]]:
    """Return a run's settings, and by dotted name those that do not exist today."""
    run_id = run.info.run_id
    what = f"config.yaml of run {run_id}"
    written = store.artifact_text(server.as_stored(run), "config.yaml", uri=uri)
    if written is None:
        raise RequestError(f"the record of run {run_id} cannot be read: no config.yaml")
    known, unknown = _split_off_unknown(trust.read(written, what=what))
    trust.check_types(known, what=what)
    settings = config.from_plain(known)
    flat = parameters.flatten(config.to_plain(settings))
    if lacking := [key for key, value in flat.items() if value == MISSING]:
        raise RequestError(f"the record of run {run_id} has no value for {', '.join(lacking)}")
    return settings, unknown


@contextmanager
def model_file(run: RecordedRun) -> Iterator[Path]:
    """Give the file, in Keras's format, of a run's network, for as long as the block lasts.

    Raises
    ------
    RequestError
        If it is missing or damaged.
    """
    import mlflow
    from mlflow.artifacts import download_artifacts

    client = mlflow.MlflowClient(run.uri)
    with tempfile.TemporaryDirectory(prefix="fitgap-") as folder:
        try:
            location = client.get_logged_model(run.model_id).artifact_location
            # One file: beside it may lie what MLflow's own loader unpickles.
            path = download_artifacts(
                artifact_uri=f"{location}/data/model.keras", dst_path=folder, tracking_uri=run.uri
            )
        except Exception as error:  # the record names the place, and each kind of it has its errors
            raise _unreadable(run.run_id, error) from error
        try:
            models.check(Path(path))
        except (OSError, *models.DAMAGE) as error:
            raise _not_opened(run.run_id, first_line(error)) from error
        yield Path(path)


def _split_off_unknown(plain: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Part recorded settings into those of today's schema and, by dotted name, the others."""
    hints = get_type_hints(Config)
    known: dict[str, Any] = {}
    unknown: dict[str, Any] = {}
    for key, value in plain.items():
        schema = hints.get(key)
        if key == "dataset" and isinstance(value, Mapping):
            schema = config.dataset_schema(value.get("name"))
        if schema is None:
            unknown[key] = value
        elif is_dataclass(schema) and isinstance(value, Mapping):
            names = {field.name for field in fields(schema)}
            known[key] = {name: item for name, item in value.items() if name in names}
            unknown |= {f"{key}.{name}": item for name, item in value.items() if name not in names}
        else:
            known[key] = value
    return known, unknown


def _unreadable(run_id: str, error: Exception) -> RequestError:
    return RequestError(f"the record of run {run_id} cannot be read: {first_line(error)}")


def _not_opened(run_id: str, reason: str) -> RequestError:
    return RequestError(f"the model of run {run_id} cannot be opened: model.keras, {reason}")
