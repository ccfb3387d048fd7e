"""The settings of a grid's jobs, composed by Hydra no more often than is needed.

Hydra takes a quarter of a second to compose a job. What it applies last are overrides of single
settings, so jobs that choose the same options of all groups are composed once, and together.
"""

import contextlib
import copy
import multiprocessing
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict

from fitgap import config
from fitgap.config_schema import Config

Overrides = list[str]
Compose = Callable[[Overrides], DictConfig]

# A group's name is a path of folders and has no dot.
_SINGLE_SETTING = re.compile(r"(seed|\w+(\.\w+)+)=")

_inherited: list[Compose] = []  # in a process that `_bases` forks: its one function


def configs(grid: Sequence[Overrides], compose: Compose) -> Iterator[Config]:
    """Yield the checked settings of each job of a grid.

    Parameters
    ----------
    grid
        The overrides of each job.
    compose
        Has Hydra compose a job.

    Raises
    ------
    RequestError, hydra.errors.HydraException
        When a job's turn comes that is wrong, as if it were composed alone.
    """
    bases = _bases(list(dict.fromkeys(map(_of_groups, grid))), compose)
    for overrides in grid:
        base = bases[_of_groups(overrides)]
        composed = None if base is None else _with_settings(base, overrides)
        yield config.from_hydra(compose(overrides) if composed is None else composed)


def _of_groups(overrides: Overrides) -> tuple[str, ...]:
    return tuple(text for text in overrides if not _SINGLE_SETTING.match(text))


def _with_settings(base: DictConfig, overrides: Overrides) -> DictConfig | None:
    """Return a base with the single settings of a job; or None, if one cannot be applied."""
    composed = copy.deepcopy(base)
    singles = [text for text in overrides if _SINGLE_SETTING.match(text)]
    try:
        for override in OverridesParser.create().parse_overrides(singles):
            OmegaConf.update(composed, override.key_or_group, override.value(), merge=True)
    except Exception:  # Hydra says it better
        return None
    return composed


def _bases(
    kinds: Sequence[tuple[str, ...]], compose: Compose
) -> dict[tuple[str, ...], DictConfig | None]:
    """Return what each kind of job has in common; None where that cannot be composed."""
    # A process with TensorFlow's threads may not be forked.
    if len(kinds) > 1 and sys.platform == "linux" and "tensorflow" not in sys.modules:
        with (
            contextlib.suppress(BrokenProcessPool),
            ProcessPoolExecutor(
                min(len(kinds), len(os.sched_getaffinity(0))),
                mp_context=multiprocessing.get_context("fork"),
                initializer=_begin,
                initargs=(compose,),  # inherited: it could not be pickled
            ) as processes,
        ):
            return dict(zip(kinds, processes.map(_base_here, kinds), strict=True))
    return {kind: _base(kind, compose) for kind in kinds}


def _begin(compose: Compose) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits
    _inherited.append(compose)


def _base_here(kind: tuple[str, ...]) -> DictConfig | None:
    return _base(kind, _inherited[0])


def _base(kind: tuple[str, ...], compose: Compose) -> DictConfig | None:
    try:
        base = compose(list(kind))
    except Exception:  # raised again where it belongs to a job
        return None
    with open_dict(base):
        base.pop("hydra", None)
    return base
