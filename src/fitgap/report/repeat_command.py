"""From a recorded group of runs back to the command that repeats it.

A command is only given if composing it again yields all of the recorded settings.
"""

import functools
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from fitgap.comparison.varying_settings import BEFORE, DERIVED, GROUPS, parse
from fitgap.config import project, tasks
from fitgap.config import settings as config
from fitgap.config.function_options import names_function, offer_importable
from fitgap.config.modules import is_own_module, split_target
from fitgap.config.options import has_option
from fitgap.config.parameters import to_text, without_volatile
from fitgap.config.quoting import quoted
from fitgap.errors import RequestError
from fitgap.store import StoredRun
from fitgap.trust import overrides as trust
from fitgap.trust.text import is_as_recorded

if TYPE_CHECKING:
    from omegaconf import DictConfig

# Where own data lie: this does not count when runs are compared, yet a command must say it.
PATHS = tuple(f"dataset.{name}" for name in ("path", "label_path", "val_path", "test_path"))
_WORD = re.compile(r"[A-Za-z0-9_./:@-]+")  # which Hydra takes without quotes
_LONGEST = 200  # characters of an option's name
_TARGET = re.compile(r"_target_\s*[:=]\s*'?([\w.]+)")  # alone, or within a mapping
METRICS = "metrics"  # their names; what decides how they are counted is a tag
SCRIPT = "fitgap train"  # in pages that are read on other machines, too


def commands_of(groups: Sequence[Sequence[StoredRun]]) -> list[str | None]:
    """Return the commands that repeat groups of runs.

    Parameters
    ----------
    groups
        Runs that differ only in their seed, at least one in each.

    Returns
    -------
    list of str or None
        For a shell; None where the settings that exist today do not give the recorded ones.
    """
    project.make_importable()  # only its own modules may stand in a command
    composer = _Composer()
    commands = []
    changed: dict[str, str] = {}
    for runs in groups:
        wanted = _settings(runs[0].params)
        chosen = [*composer.chosen_options(wanted), *_required(runs[0].params)]
        # Groups of a sweep mostly change the same settings, and Hydra takes its time to compose.
        if not composer.gives([*chosen, *_overrides(changed)], wanted):
            changed = composer.changed(chosen, wanted)
        words = [*chosen, *_overrides(changed)]
        commands.append(_command(words, runs) if composer.gives(words, wanted) else None)
    return commands


class _Composer:
    """Composes settings from overrides, as ``fitgap train`` would now.

    It remembers the options of ``conf/`` and what Hydra has composed, so it serves one report: in
    a long process both may change later. ``wanted`` are recorded settings, as `_settings` returns
    them.
    """

    def __init__(self) -> None:
        self._by_hydra = functools.lru_cache(maxsize=64)(_by_hydra)

    def chosen_options(self, wanted: Mapping[str, str]) -> list[str]:
        """Return the overrides that choose groups' options, and metrics besides the task's own."""
        chosen = [f"{name}={_option(name, wanted)}" for name in GROUPS if f"{name}.name" in wanted]
        task = _task(wanted)
        names = parse(wanted.get(METRICS, "[]"))
        if task is not None and names and names != list(tasks.TASKS[task].metrics):
            chosen.append(f"metrics={wanted[METRICS]}")
        for name, options in self._training_options.items():
            parts = {k: v for k, v in wanted.items() if k.startswith(f"training.{name}.")}
            if parts:
                target = parts.get(f"training.{name}._target_", "")
                chosen.append(f"training/{name}={options.get(target, '')}")
        return chosen

    def changed(self, chosen: Sequence[str], wanted: Mapping[str, str]) -> dict[str, str]:
        """Return the settings that options alone do not give, and what they have to be."""
        try:
            composed = self._settings_of(chosen, _task(wanted))
        except RequestError:
            return {}
        return {
            key if key in composed else f"++{key}": value
            for key, value in wanted.items()
            if key != METRICS and composed.get(key) != value
        }

    def gives(self, overrides: Sequence[str], wanted: Mapping[str, str]) -> bool:
        """Tell whether overrides give the recorded settings."""
        try:
            composed = self._settings_of(overrides, _task(wanted))
        except RequestError:
            return False
        if METRICS not in wanted:  # of before there were any to choose
            composed = {key: value for key, value in composed.items() if key != METRICS}
        return composed == wanted

    @functools.cached_property
    def _training_options(self) -> dict[str, dict[str, str]]:
        """By group below ``training``, which option brings which ``_target_``."""
        import yaml

        found: dict[str, dict[str, str]] = {}
        # The first folder's options win, so they come last.
        folders = reversed(project.config_dirs())
        for path in [p for f in folders for p in sorted((f / "training").glob("*/*.yaml"))]:
            content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
            if "_target_" in content:
                found.setdefault(path.parent.name, {})[content["_target_"]] = path.stem
        return found

    def _settings_of(self, overrides: Sequence[str], task: str | None) -> dict[str, str]:
        """Return the settings of an experiment of this task as the record has them.

        Raises
        ------
        RequestError
            If there is no such option or setting, or a record may not bring it.
        """
        if not all(map(is_as_recorded, overrides)):
            raise RequestError("a text was recorded that is not shown as it is")
        _check(overrides)
        for group, path in _functions(overrides).items():
            offer_importable(group, path)
        from hydra.errors import HydraException
        from omegaconf.errors import OmegaConfBaseException

        from fitgap.sweep import composition

        try:
            # Only what chooses options is composed by Hydra, which takes its time, and that once.
            (settings,) = composition.configs(
                [list(overrides)], lambda job: self._by_hydra(tuple(job)), in_processes=False
            )
            if task is not None:
                settings = tasks.resolve(settings, task)
        except (HydraException, OmegaConfBaseException, OSError, ValueError, TypeError) as error:
            raise RequestError(str(error)) from error
        flat = config.recorded(settings)
        return _settings({key: to_text(value) for key, value in flat.items()})


def _by_hydra(overrides: tuple[str, ...]) -> "DictConfig":
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    # A sweep that reports on itself runs within Hydra, which cannot be started twice.
    is_running = GlobalHydra.instance().is_initialized()
    folder = str(project.CONFIG_DIR)
    with nullcontext() if is_running else initialize_config_dir(folder, version_base="1.3"):
        return compose("train", list(overrides))


def _option(group: str, wanted: Mapping[str, str]) -> str:
    """Return the option's name; a function without a file in ``conf/`` is its own option."""
    name = wanted[f"{group}.name"]
    target = wanted.get(f"{group}._target_") or wanted.get(f"{group}.function._target_", "")
    # Of a name that no file can have, composing it says so.
    if len(name) > _LONGEST or has_option(group, name) or not names_function(group, target):
        return name
    return target


def _required(params: Mapping[str, str]) -> list[str]:
    """Return what options of own data leave to a person: paths, the target, the function."""
    named = {name: params.get(name, "null") for name in (*PATHS, "dataset.label")}
    words = _overrides({name: value for name, value in named.items() if value not in ("null", "")})
    at = "dataset.function."
    function = {k.removeprefix(at): _quoted(v) for k, v in params.items() if k.startswith(at)}
    if function:
        inside = ", ".join(f"{name}: {value}" for name, value in function.items())
        words.append(f"dataset.function={{{inside}}}")
    return words


def _overrides(changed: Mapping[str, str]) -> list[str]:
    return [f"{key}={_quoted(value)}" for key, value in changed.items()]


def _check(overrides: Sequence[str]) -> None:
    """Check that a record may bring overrides: they are composed, and a person may copy them.

    What they name is fitgap's, Keras's, or of the project folder's own modules.
    """
    named = [target for text in overrides for target in _TARGET.findall(text)]
    modules = {split_target(target)[0] for target in [*named, *_functions(overrides).values()]}
    own = [module for module in modules if module is not None and is_own_module(module)]
    trust.check(overrides, what="the record", modules=own)


def _functions(overrides: Sequence[str]) -> dict[str, str]:
    """Return, by group, the options that are the import paths of functions."""
    options = dict(text.split("=", 1) for text in overrides)
    return {group: path for group, path in options.items() if names_function(group, path)}


def _task(wanted: Mapping[str, str]) -> str | None:
    """Return the task of recorded settings, which follows from the form of the labels."""
    form = wanted.get("loss.labels")
    return next((task.name for task in tasks.TASKS.values() if form in task.labels), None)


def _command(words: Sequence[str], runs: Sequence[StoredRun]) -> str:
    seeds = [seed for run in runs if (seed := run.params.get("seed", "")).isdecimal()]
    words = [*words, *([f"seed={','.join(seeds)}"] if seeds else [])]
    many = " -m" if len(seeds) > 1 else ""
    return f"{SCRIPT}{many} {' '.join(map(shlex.quote, words))}"


def _settings(flat: Mapping[str, str]) -> dict[str, str]:
    left_out = {*DERIVED, "seed"} - {METRICS}
    settings = {k: v for k, v in without_volatile(flat).items() if k not in left_out}
    return {**BEFORE, **settings}


def _quoted(value: str) -> str:
    """Return a recorded value as Hydra's grammar takes it."""
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return value if _WORD.fullmatch(value) else quoted(value)
    return value
