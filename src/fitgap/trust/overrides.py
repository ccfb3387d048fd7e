"""Which overrides a sweep's recorded plan may bring along when the sweep is resumed.

What Hydra does at its own settings' bidding reaches far: a callback, a search path or a folder of
its own is code that runs and files that appear. So a plan brings the experiment's settings, and
by name those of the launcher and the sweeper that decide how many jobs run where.
"""

import math
import re
from collections.abc import Collection, Iterable

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, RangeSweep
from hydra.errors import HydraException

from fitgap.config import function_options
from fitgap.config.schema import PRESETS, Config
from fitgap.errors import RequestError
from fitgap.trust import allowed_classes
from fitgap.trust.text import shown

LAUNCHERS = ("basic", "joblib", "ray", "submitit_local", "submitit_slurm")
SWEEPERS = ("fitgap", "optuna", "race")
_LAUNCHER_SETTINGS = """
n_jobs backend prefer require verbose timeout pre_dispatch batch_size
jobs_at_once array_parallelism timeout_min nodes tasks_per_node cpus_per_task mem_gb gpus_per_node
partition account qos constraint signal_delay_s max_num_timeout
ray.init.num_cpus ray.init.num_gpus ray.remote.num_cpus ray.remote.num_gpus ray.remote.max_retries
"""  # of joblib; of submitit; of Ray
_SWEEPER_SETTINGS = """
fail_fast n_trials n_jobs metrics directions sampler seed startup_trials pruner
pruning_startup_trials pruning_warmup_epochs study budget margin alpha
"""
HYDRA_SETTINGS = frozenset(
    [f"hydra.launcher.{name}" for name in _LAUNCHER_SETTINGS.split()]
    + [f"hydra.sweeper.{name}" for name in _SWEEPER_SETTINGS.split()]
)
TRACKING = ("tracking", "tracking.uri", "tracking.experiment", "tracking.reuse")
PARAMS = "hydra.sweeper.params."  # the experiment's settings that a preset sweeps over

# `${seed}`: another setting of the experiment. No resolver but the number of the job, and not the
# store's address, which may hold a password.
_INTERPOLATION = re.compile(r"\$\{([^${}]*)\}")
_PLAIN_REFERENCE = re.compile(r"(?!(hydra|tracking)\b)\w+(\.\w+)*|hydra[.:]job\.(num|id)")

MOST_CHARACTERS = 100_000  # of one override
MOST_JOBS = 100_000  # of the grid that they make
# submitit writes these into a script, one a line: a line break would add commands to it.
_WORDS_OF_LAUNCHER = re.compile(r"[\w .,:;@%+&|*()\[\]\-]{0,200}")


def check(overrides: Iterable[str], *, what: str, modules: Collection[str] = ()) -> None:
    """Check the overrides of a record, as a command line would have them.

    Parameters
    ----------
    overrides
        Of Hydra's settings or the experiment's.
    what
        Where they come from, for the message.
    modules
        See `fitgap.trust.allowed_classes.is_allowed`.

    Raises
    ------
    RequestError
        Naming the first one that a record may not bring.
    """
    jobs = 1
    for text in overrides:
        jobs *= _check_one(text, what=what, modules=modules)
        if jobs > MOST_JOBS:
            raise RequestError(f"{what} asks for more than {MOST_JOBS} jobs")


def _check_one(text: object, *, what: str, modules: Collection[str]) -> int:
    """Check one override, and return how many values of a grid it gives."""
    if not isinstance(text, str) or text.startswith("-") or len(text) > MOST_CHARACTERS:
        raise _refused(what, text)
    try:
        (override,) = OverridesParser.create().parse_overrides([text])
    except (HydraException, ValueError, RecursionError) as error:
        raise _refused(what, text) from error
    if not (_is_of_hydra(override) or _is_of_experiment(override)):
        raise _refused(what, text)
    for inside in _INTERPOLATION.findall(text):
        if not _PLAIN_REFERENCE.fullmatch(inside):
            raise _refused(what, text)
    if "${" in _INTERPOLATION.sub("", text):
        raise _refused(what, text)
    if override.key_or_group.startswith(PARAMS):
        value = override.value()
        assigned = value if isinstance(value, str) else override.get_value_element_as_str()
        becomes = f"{override.key_or_group.removeprefix(PARAMS)}={assigned}"
        if becomes.startswith(("hydra", "tracking")):
            raise _refused(what, text)
        return _check_one(becomes, what=what, modules=modules)
    _check_values(override, what=what, modules=modules)
    return _values(override)


def _is_of_hydra(override: Override) -> bool:
    key, value = override.key_or_group, override.value()
    if override.package is not None:
        return False
    if key == "hydra/launcher":
        return value in LAUNCHERS
    if key == "hydra/sweeper":
        return value in SWEEPERS
    if key.startswith(PARAMS):
        return True  # checked as the override that it becomes
    is_plain = not isinstance(value, dict | list) and "${" not in str(value)
    if key.startswith("hydra.launcher."):
        is_plain = is_plain and bool(
            _WORDS_OF_LAUNCHER.fullmatch(str(getattr(value, "text", value)))
        )
    return key in HYDRA_SETTINGS and is_plain


def _is_of_experiment(override: Override) -> bool:
    key = override.key_or_group
    if key == "tracking" and override.value() not in ("local", "server"):
        return False
    if "." not in key and key != "name" and not all(map(_may_be_option, _options(override))):
        return False
    return override.package is None and _is_experiments_name(key)


def _options(override: Override) -> list[object]:
    """Return what an override may choose: of a sweep all values, of a list its members."""
    value = override.value()
    choices = list(getattr(value, "list", None) or [value])
    return [one for each in choices for one in (each if isinstance(each, list) else [each])]


def _may_be_option(value: object) -> bool:
    """Tell whether a value, of an option or a setting, is no file outside of conf/."""
    parts = re.split(r"[/\\]", str(getattr(value, "text", value)))
    return ".." not in parts and (len(parts) == 1 or bool(parts[0]))


def _values(override: Override) -> int:
    """Return how many values of a grid an override gives."""
    sweep = override.value()
    if isinstance(sweep, RangeSweep):
        try:
            start, stop, step = (float(each or 0) for each in (sweep.start, sweep.stop, sweep.step))
            count = abs((stop - start) / step)
        except (OverflowError, ZeroDivisionError):
            return MOST_JOBS + 1
        return int(min(max(count, 1), MOST_JOBS + 1)) if math.isfinite(count) else MOST_JOBS + 1
    return len(sweep.list) if isinstance(sweep, ChoiceSweep) else 1


def _is_experiments_name(key: str) -> bool:
    first = re.split(r"[./]", key)[0]
    if first == "tracking":  # where a record lies is the command's to say
        return key in TRACKING
    return ".." not in key and first in (*Config.__annotations__, *PRESETS)


def _check_values(override: Override, *, what: str, modules: Collection[str]) -> None:
    """Check the classes that a value names, in a sweep's every choice."""
    last = override.key_or_group.rpartition(".")[2]
    if override.is_delete():
        return
    if override.is_sweep_override():
        sweep = override.value()
        values = list(getattr(sweep, "list", None) or [])
        if last == "_target_" and not values:
            raise _refused(what, override.input_line)
    else:
        values = [override.value()]
    for value in values:
        plain = getattr(value, "text", value)  # a quoted string of Hydra's
        is_function = function_options.names_function(override.key_or_group, plain)
        key = "_target_" if is_function else last
        allowed_classes.check({key: _without_references(plain)}, what=what, modules=modules)


def _without_references(value: object) -> object:
    """Return a value with its references, which were checked, left out."""
    if isinstance(value, str):
        return _INTERPOLATION.sub("", value)
    if isinstance(value, dict):
        return {getattr(k, "text", k): _without_references(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_references(getattr(item, "text", item)) for item in value]
    return getattr(value, "text", value)


def _refused(what: str, override: object) -> RequestError:
    return RequestError(
        f"{what} contains {shown(override)}, which a record must not set",
        "If you know what it does, give it again at the end of the command",
    )
