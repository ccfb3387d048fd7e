"""The settings of one experiment: composed by Hydra, as a checked `Config`, and as plain values.

The schema is `fitgap.config.schema`, ranges and combinations `fitgap.config.validation`. None of
them imports TensorFlow: a wrong request must be answered before that takes its seconds. What needs
the data or Keras is checked later, when these are loaded.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fitgap.config.checks import is_number, refuse_unknown, require
from fitgap.config.model_checks import DECIMALS
from fitgap.config.parameters import flatten, is_recordable
from fitgap.config.schema import (
    OWN_DATASETS,
    Config,
    DatasetConfig,
    DebugConfig,
    LossConfig,
    MetricConfig,
    PublishedConfig,
    SplitConfig,
    TrackingConfig,
    TrainingConfig,
)
from fitgap.config.validation import validate
from fitgap.errors import RequestError, first_line

_SECTIONS = {
    "split": SplitConfig,
    "loss": LossConfig,
    "training": TrainingConfig,
    "tracking": TrackingConfig,
}


def from_hydra(composed: DictConfig) -> Config:
    """Resolve and check a composed configuration.

    Parameters
    ----------
    composed
        What Hydra composed from ``conf/`` and the overrides.

    Returns
    -------
    Config
        The same settings with all interpolations resolved; ``architecture`` a plain dict.

    Raises
    ------
    RequestError
        If a setting is unknown, missing or out of range, or two contradict each other.
    """
    # Hydra takes whatever stands behind a `+`; what nothing reads would silently have no effect.
    refuse_unknown("", (str(key) for key in composed if key != "hydra"), Config)
    try:
        composed = OmegaConf.masked_copy(composed, list(Config.__annotations__))
        missing = sorted(OmegaConf.missing_keys(composed))
        if missing:
            raise RequestError(f"{missing[0]} has no value; give one with {missing[0]}=...")
        plain = OmegaConf.to_container(composed, resolve=True, enum_to_str=True)
    except OmegaConfBaseException as error:
        raise RequestError(first_line(error)) from error
    config = from_plain(cast(dict[str, Any], plain))
    config.optimizer = _with_decimals(config.optimizer)
    config.training.schedule = _with_decimals(config.training.schedule)
    validate(config)
    return config


def _with_decimals(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of an optimizer or schedule, whole numbers among them made decimal.

    1 and 1.0 are the same run. And Keras refuses a momentum of 0, and rounds a schedule that
    starts at 1 to whole numbers: from its second step on, it is 0.
    """
    return {
        key: float(value) if key in DECIMALS and is_number(value) else value
        for key, value in node.items()
    }


def dataset_schema(name: str | None) -> type[DatasetConfig]:
    """Return the class of a dataset's settings; what is not the user's own is published."""
    return OWN_DATASETS.get(str(name), PublishedConfig)


def from_plain(plain: Mapping[str, Any]) -> Config:
    """Rebuild a configuration from its plain form (what ``config.yaml`` of a run holds).

    Raises
    ------
    RequestError
        If it has a setting that does not exist.
    """
    of_dataset = dataset_schema(plain["dataset"].get("name"))
    for section, schema in {"dataset": of_dataset, **_SECTIONS}.items():
        refuse_unknown(f"{section}.", plain[section], schema)
    tags = plain["tags"] or {}
    require("tags", tags, "a mapping, such as {question: width}", when=isinstance(tags, Mapping))
    for name in tags:
        allowed = "named by letters, digits, spaces, and any of _-.:/ (MLflow takes no others)"
        require("tags", str(name), allowed, when=is_recordable(f"tags.{name}"))
    return Config(
        dataset=of_dataset(**plain["dataset"]),
        split=SplitConfig(**plain["split"]),
        architecture=dict(plain["architecture"]),
        optimizer=dict(plain["optimizer"]),
        loss=LossConfig(**plain["loss"]),
        metrics=_metrics(plain.get("metrics") or {}),  # records of before there were any lack it
        training=TrainingConfig(**plain["training"]),
        tracking=TrackingConfig(**plain["tracking"]),
        seed=plain["seed"],
        name=plain["name"],
        tags=dict(tags),
        debug=_debug(plain.get("debug")),
    )


def _debug(plain: Mapping[str, Any] | None) -> DebugConfig | None:
    if plain is None:
        return None
    refuse_unknown("debug.", plain, DebugConfig)
    return DebugConfig(**plain)


def _metrics(plain: Mapping[str, Any]) -> dict[str, MetricConfig]:
    for name, node in plain.items():
        require(f"metrics.{name}", node, "a mapping", when=isinstance(node, Mapping))
        refuse_unknown(f"metrics.{name}.", node, MetricConfig)
    return {name: MetricConfig(**node) for name, node in plain.items()}


def to_plain(config: Config) -> dict[str, Any]:
    """Return the settings as nested dicts, lists, strings, numbers, booleans and None."""
    plain = asdict(config)
    if config.debug is None:
        del plain["debug"]  # as in records of before there was any
    return plain


def recorded(config: Config) -> dict[str, Any]:
    """Return the settings, flattened, as the parameters of a run have them.

    Of its metrics they have the names; a tag says more of them.
    """
    return flatten(to_plain(config) | {"metrics": list(config.metrics)})
