"""Whether the settings of a search are right; nothing here imports Optuna."""

from dataclasses import replace

from fitgap.config import tasks
from fitgap.config.checks import require
from fitgap.config.schema import Config
from fitgap.errors import RequestError
from fitgap.evaluation.metrics import higher_is_better
from fitgap.search.settings import PRIMARY, SearchSettings

# What a search may choose by: validation figures and their gaps. The test set chooses nothing, and
# training figures would choose the network that learns by heart.
PREFIXES = ("val/", "gap/")
SAMPLERS = ("tpe", "random")
PRUNERS = ("none", "median")
DIRECTIONS = ("maximize", "minimize")


def check(settings: SearchSettings) -> None:
    """Check the settings as far as is possible without an experiment.

    Raises
    ------
    RequestError
        Naming the first wrong one.
    """
    for name, least in (
        ("n_trials", 1),
        ("seed", 0),
        ("startup_trials", 1),
        ("pruning_startup_trials", 1),
        ("pruning_warmup_epochs", 0),
    ):
        value = getattr(settings, name)
        _require(name, value, f"an integer >= {least}", when=value >= least)
    jobs = settings.n_jobs
    _require("n_jobs", jobs, "an integer >= 1 or null", when=jobs is None or jobs >= 1)
    _require("sampler", settings.sampler, " or ".join(SAMPLERS), when=settings.sampler in SAMPLERS)
    _require("pruner", settings.pruner, " or ".join(PRUNERS), when=settings.pruner in PRUNERS)
    study = settings.study  # the name of a file
    is_name = study is None or not set(study) & set("/\\")
    _require("study", study, "a name without / or \\, or null", when=is_name)
    metrics = list(settings.metrics)
    _require("metrics", metrics, "one or more", when=bool(metrics))
    for name in metrics:
        if name.startswith(("test/", "test_gap/")):
            raise RequestError(
                f"hydra.sweeper.metrics={metrics}: {name} is a test figure, and the test "
                "set must not choose; use val/ or gap/ and a metric"
            )
    if settings.directions is not None:
        directions = list(settings.directions)
        for name in directions:
            _require("directions", name, " or ".join(DIRECTIONS), when=name in DIRECTIONS)
        fits = len(directions) == len(metrics)
        _require("directions", directions, f"one per metric of {metrics}", when=fits)
    if len(metrics) > 1 and settings.pruner != "none":
        raise RequestError(
            f"hydra.sweeper.pruner={settings.pruner} prunes by one metric, got metrics={metrics}; "
            "use hydra.sweeper.pruner=none"
        )


def resolve(settings: SearchSettings, config: Config) -> SearchSettings:
    """Return the settings with the metrics and directions that an experiment has.

    Parameters
    ----------
    settings
        Of the search.
    config
        Of the experiment, its metrics known.

    Raises
    ------
    RequestError
        If it lacks a metric that is sought.
    """
    names = ["loss", *config.metrics]
    primary = next(iter(config.metrics), "loss")
    metrics = [f"val/{primary}" if name == PRIMARY else name for name in settings.metrics]
    known = [f"{prefix}{name}" for name in names for prefix in PREFIXES]
    for name in metrics:
        _require("metrics", name, f"of {', '.join(known)}", when=name in known)
    goes_up = {f"val/{name}" for name in higher_is_better(config)}
    own = ["maximize" if name in goes_up else "minimize" for name in metrics]
    return replace(settings, metrics=metrics, directions=settings.directions or own)


def check_experiment(settings: SearchSettings, config: Config) -> None:
    """Check that an experiment has what the search chooses and prunes by.

    Parameters
    ----------
    settings
        Of the search, as `resolve` returned them.
    config
        Of the experiment.

    Raises
    ------
    RequestError
        If it has no validation partition, or no figures at each epoch where a pruner needs them.
    """
    if config.split.name == "none":
        raise RequestError(
            "hydra/sweeper=optuna needs a validation partition to choose by, but split=none "
            "leaves none"
        )
    figure = settings.metrics[0].partition("/")[2]
    waits = {*config.metrics} - {*tasks.metrics_of_each_epoch(config.metrics)}
    if settings.pruner != "none" and figure in waits:
        raise RequestError(
            f"hydra.sweeper.pruner={settings.pruner} on {settings.metrics[0]} needs "
            f"++metrics.{figure}.each_epoch=true: {figure} is computed only at the end"
        )
    needs_train = settings.pruner != "none" and settings.metrics[0].startswith("gap/")
    if needs_train and not config.training.train_metrics_every_epoch:
        raise RequestError(
            f"hydra.sweeper.pruner={settings.pruner} on {settings.metrics[0]} needs "
            "training.train_metrics_every_epoch=true"
        )


def _require(name: str, value: object, allowed: str, *, when: bool) -> None:
    require(f"hydra.sweeper.{name}", value, allowed, when=when)
