"""What the record says about a run and its model besides figures and files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fitgap.config.schema import Config
from fitgap.tag_names import (
    DATASET_TAG,
    IDENTITY_TAG,
    PARENT_TAG,
    ROLE_TAG,
    SOURCE_TAG,
    SPLIT_TAG,
    SWEEP_TAG,
)
from fitgap.tracking import provenance
from fitgap.trust.text import without_secrets

if TYPE_CHECKING:
    import keras

    from fitgap.experiment import Plan
    from fitgap.training.data import Data
    from fitgap.training.engines.choice import EngineChoice


@dataclass(frozen=True)
class RunDescription:
    """What is known about a run before it starts.

    Attributes
    ----------
    name
        Shown in MLflow's table.
    parameters
        Derived ones, besides the resolved settings.
    tags
        Besides the user's own.
    """

    name: str
    parameters: Mapping[str, Any]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class ModelDescription:
    """What MLflow's page of a model shows besides its files.

    Attributes
    ----------
    name
        Of its run; any text. The model itself is always ``model``, so that
        ``runs:/<run id>/model`` finds it.
    params
        A few settings that distinguish it from others.
    metrics, step
        Names of the run's metrics that belong to its weights, and the step they stand at.
    """

    name: str
    params: Mapping[str, str]
    metrics: Sequence[str]
    step: int


def of_run(
    planned: "Plan", *, data: "Data", choice: "EngineChoice", model: "keras.Model"
) -> RunDescription:
    """Return the description of an experiment's run before it trains.

    Parameters
    ----------
    planned
        The checked experiment.
    data
        As loaded and split.
    choice
        The engine.
    model
        As built; its parameters are counted.
    """
    config, partitions = planned.config, data.partitions
    parameters = {
        "engine": engine_name(choice),
        "engine_reason": choice.reason,
        "steps_per_epoch": -(-len(partitions.train) // config.training.batch_size),
        "parameter_count": model.count_params(),
        "train_samples": len(partitions.train),
        "val_samples": len(partitions.val) if partitions.val else 0,
        "test_samples": len(partitions.test),
    }
    if (share := data.most_frequent_class_share) is not None:
        parameters["most_frequent_class_share"] = share
    return RunDescription(name=run_name(config), parameters=parameters, tags=_tags(planned))


def of_model(config: Config, *, metrics: Sequence[str], step: int) -> ModelDescription:
    """Return what MLflow's page of a run's model shows; see `ModelDescription`.

    Parameters
    ----------
    config
        The experiment.
    metrics
        Names of the run's metrics that belong to the model's weights.
    step
        Under which these are recorded.
    """
    return ModelDescription(run_name(config), _distinguishing_settings(config), metrics, step)


def engine_name(choice: "EngineChoice") -> str:
    """Return an engine as the record names it."""
    return choice.name + ("+xla" if choice.xla else "")


def run_name(config: Config) -> str:
    """Return the name a run is shown under: the given one, or one made of its settings."""
    if config.name:
        return without_secrets(config.name)
    choices = (config.dataset.name, config.architecture["name"], config.optimizer["name"])
    return " ".join(choices) + f" seed={config.seed}"


def _distinguishing_settings(config: Config) -> dict[str, str]:
    """Return the settings that distinguish a model from others at a glance."""
    return {
        "dataset": config.dataset.name,
        "split": config.split.name,
        "architecture": str(config.architecture["name"]),
        "optimizer": str(config.optimizer["name"]),
        "epochs": str(config.training.epochs),
        "batch_size": str(config.training.batch_size),
        "seed": str(config.seed),
    }


def _tags(planned: "Plan") -> dict[str, str]:
    tags = {
        ROLE_TAG: "run" if planned.config.debug is None else "debug",
        IDENTITY_TAG: planned.identity,
        DATASET_TAG: planned.facts.dataset_digest,
        SPLIT_TAG: planned.facts.split_digest,
        SOURCE_TAG: planned.sources.digest,
        **provenance.code_tag(planned.sources.fingerprints),
        **provenance.unknown_tag(planned.sources.own.unknown),
    }
    tags |= planned.tags
    if parent := planned.config.tracking.parent:
        tags |= {SWEEP_TAG: parent, PARENT_TAG: parent}
    return tags
