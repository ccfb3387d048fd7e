"""From a recorded run to a version of a registered model, which `mlflow models serve` takes."""

from dataclasses import dataclass

from fitgap import store
from fitgap.comparison.groups import Group
from fitgap.comparison.ranking import compare_experiment
from fitgap.config.schema import TableConfig
from fitgap.config.tasks import task_of
from fitgap.errors import RequestError, first_line
from fitgap.evaluation.figures import figure_text
from fitgap.report.leaderboard import label_of
from fitgap.store import StoredRun, recorded
from fitgap.tag_names import IDENTITY_TAG
from fitgap.trust.text import line, markdown

RULE = (
    "the group with the best mean of the primary metric on validation data (val/accuracy, unless "
    "runs name another) over its seeds, and of it the best run (then the lowest val/loss)"
)
RUN_TAG = "fitgap.run"


@dataclass(frozen=True)
class Choice:
    """A run, and the group that it represents."""

    run: StoredRun
    group: Group
    metric: str

    @property
    def reason(self) -> str:
        """Why this run, with its figures, in a sentence or two."""
        mean = self.group.metrics[self.metric].mean
        own = self.run.metrics[self.metric]
        return (
            f"{label_of(self.group)}, seed {self.run.params.get('seed', '?')}: "
            f"{self.metric} {figure_text(own)} "
            f"(mean of its group of {len(self.group.runs)}: {figure_text(mean)})"
        )


@dataclass(frozen=True)
class Version:
    """A version of a registered model.

    Attributes
    ----------
    name, number
        Together MLflow's ``models:/name/number``.
    is_new
        Whether it was made now; the same network is not registered twice under one name.
    """

    name: str
    number: int
    is_new: bool

    @property
    def uri(self) -> str:
        """The address that MLflow's commands take."""
        return f"models:/{self.name}/{self.number}"


def choose(uri: str, *, experiment: str) -> Choice:
    """Choose the run of an experiment that is registered, by validation figures; see `RULE`.

    Parameters
    ----------
    uri
        Of the store.
    experiment
        MLflow's experiment.

    Raises
    ------
    RequestError
        If there is no finished run, or no ranking: runs on different data, or without validation.
    """
    comparison = compare_experiment(uri, experiment=experiment)
    if len(comparison.sections) > 1:
        data = ", ".join(f"{part.dataset}/{part.split}" for part in comparison.sections)
        raise RequestError(
            f"experiment {experiment!r} has runs on different data ({data}), which have no common "
            "best; name the run with --run"
        )
    (section,) = comparison.sections
    if section.sort is None:
        raise RequestError(
            f"the runs of experiment {experiment!r} have no validation figures to choose by; name "
            "the run with --run"
        )
    group = section.groups[0]
    scored = [run for run in group.runs if section.sort in run.metrics]
    sign = 1 if section.is_better_high(section.sort) else -1
    best = max(
        scored,
        key=lambda run: (
            sign * run.metrics[section.sort or ""],
            -run.metrics.get("val/loss", 0.0),
        ),
    )
    return Choice(best, group, section.sort)


def register(run_id: str, *, name: str, uri: str, reason: str = "") -> Version:
    """Make a run's network a version of a registered model.

    Parameters
    ----------
    run_id
        Of a finished run.
    name
        Of the registered model; it is created if there is none.
    uri
        Of the record.
    reason
        Goes into the version's description.

    Raises
    ------
    RequestError
        If there is no such run, or MLflow refuses the name.
    """
    if not name.strip(" .") or set(name) & set("/:"):
        raise RequestError(f"--register must be a name without / and :, got {name!r}")
    if line(name) != name:
        raise RequestError(
            f"--register must be one line without invisible characters, got {line(name, most=80)!r}"
        )
    run = recorded.open_run(run_id, uri=uri)
    with recorded.model_file(run):
        pass  # it is there: MLflow registers what is not, too
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient(uri, registry_uri=uri)
    try:
        source = client.get_logged_model(run.model_id).artifact_location
        versions = client.search_model_versions(f"run_id = '{run_id}'")
        same = [one for one in versions if (one.name, one.source) == (name, source)]
        if same:  # the newest comes first
            return Version(name, int(same[-1].version), is_new=False)
        try:
            client.get_registered_model(name)
        except MlflowException:
            client.create_registered_model(name)
        made = client.create_model_version(
            name,
            source=source,
            run_id=run_id,
            model_id=run.model_id,
            description=_description(run, reason),
            tags={RUN_TAG: run_id, IDENTITY_TAG: run.tags.get(IDENTITY_TAG, "")},
        )
    except MlflowException as error:
        where = store.redact(uri)
        raise RequestError(
            f"the registry of {where} refused --register {name}: {first_line(error)}"
        ) from error
    return Version(name, int(made.version), is_new=True)


def _description(run: recorded.RecordedRun, reason: str) -> str:
    name = next(iter(run.config.metrics), "accuracy")
    shown = (f"val/{name}", f"gap/{name}", f"test/{name}")
    figures = [f"{key} {figure_text(run.metrics[key])}" for key in shown if key in run.metrics]
    lines = [
        f"{_as_text(run.name)} of experiment {_as_text(run.experiment)}",
        *([f"Chosen: {_as_text(reason)}"] if reason else []),
        ", ".join(figures),
        f"Takes {_takes(run)}; {task_of(run.config).name}: {_as_text(', '.join(run.class_names))}",
    ]
    return "\n\n".join(lines)


def _as_text(name: str) -> str:
    """Return a name as MLflow shows it, which takes descriptions as Markdown."""
    return markdown(line(name))


def _takes(run: recorded.RecordedRun) -> str:
    dataset = run.config.dataset
    if isinstance(dataset, TableConfig) and dataset.image_shape is None:
        return "rows of a table, by the names of its columns"
    return f"arrays of shape {run.image_shape}, as the data had them"
