"""The settings of a grid's jobs, composed by Hydra no more often than is needed.

Hydra takes a quarter of a second to compose a job. What it applies last are overrides of single
settings, so jobs that choose the same options of all groups are composed once, and together.
"""

import contextlib
import copy
import functools
import itertools
import multiprocessing
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from fitgap.config import settings
from fitgap.config.schema import Config
from fitgap.errors import RequestError

Overrides = list[str]
Compose = Callable[[Overrides], DictConfig]
Kind = tuple[str, ...]  # the overrides that are not of single settings

# A group's name is a path of folders and has no dot.
_SINGLE_SETTING = re.compile(r"(seed|(\+\+)?\w+(\.\w+)+)=")


def configs(
    grid: Sequence[Overrides], compose: Compose, *, in_processes: bool = True
) -> Iterator[Config]:
    """Begin to compose a grid, in processes beside this one, and return the settings of each job.

    Parameters
    ----------
    grid
        The overrides of each job.
    compose
        Has Hydra compose a job.
    in_processes
        False: in this one, which may have threads that bear no fork.

    Returns
    -------
    iterator of Config
        In the grid's order, checked. It raises `RequestError` or Hydra's exception when the turn
        of a job comes that is wrong.
    """
    kinds = list(dict.fromkeys(map(_of_groups, grid)))
    # A process with TensorFlow's threads may not be forked.
    can_fork = in_processes and sys.platform == "linux" and "tensorflow" not in sys.modules
    if len(kinds) == 1 or not can_fork:
        return _configs(grid, compose, functools.cache(functools.partial(_base, compose)))
    processes = ProcessPoolExecutor(
        min(len(kinds), len(os.sched_getaffinity(0))),
        mp_context=multiprocessing.get_context("fork"),
        initializer=_begin,
        initargs=(compose,),  # inherited: it could not be pickled
    )
    bases = {kind: processes.submit(_base_here, kind) for kind in kinds}
    return _configs(grid, compose, lambda kind: bases[kind].result(), processes)


def refuse_empty(overrides: Sequence[Override]) -> None:
    """Refuse a sweep over nothing.

    Raises
    ------
    RequestError
        Naming the first setting that is to be swept over and gets no value, or an endless range.
    """
    for override in overrides:
        if not override.is_sweep_override():
            continue
        try:
            is_empty = not any(True for _ in override.sweep_string_iterator())
        except ValueError as error:  # a range of steps of 0
            raise RequestError(f"{override.input_line}: {error}") from error
        if is_empty:
            raise RequestError(
                f"{override.input_line}: there is no value to sweep over; "
                "give values that exist, such as optimizer=sgd,adam or 'seed=range(0,3)'"
            )


def numbered(configs: Iterator[Config], master: DictConfig) -> Iterator[Config]:
    """Give the settings of each job while ``${hydra:job.num}`` is the job's place in the grid.

    Parameters
    ----------
    configs
        From `configs`.
    master
        What Hydra composed for the command.
    """
    hydra = HydraConfig.instance()
    before = hydra.cfg
    hydra.set_config(OmegaConf.masked_copy(master, ["hydra"]))
    of_jobs: Any = hydra.cfg
    try:
        for number in itertools.count():
            with read_write(of_jobs.hydra), open_dict(of_jobs.hydra):
                of_jobs.hydra.job.num = number
                of_jobs.hydra.job.id = str(number)
            hydra.cfg = of_jobs
            try:
                config = next(configs)
            except StopIteration:
                return
            hydra.cfg = before
            yield config
    finally:
        hydra.cfg = before


def _configs(
    grid: Sequence[Overrides],
    compose: Compose,
    base_of: Callable[[Kind], DictConfig | None],
    processes: ProcessPoolExecutor | None = None,
) -> Iterator[Config]:
    try:
        for overrides in grid:
            composed = None
            with contextlib.suppress(BrokenProcessPool):
                base = base_of(_of_groups(overrides))
                composed = None if base is None else _with_settings(base, overrides)
            yield settings.from_hydra(compose(overrides) if composed is None else composed)
    finally:
        if processes is not None:
            processes.shutdown(wait=False, cancel_futures=True)


def _of_groups(overrides: Overrides) -> Kind:
    return tuple(text for text in overrides if not _SINGLE_SETTING.match(text))


def _base(compose: Compose, kind: Kind) -> DictConfig | None:
    """Return what the jobs of a kind have in common; None if it cannot be composed."""
    try:
        base = compose(list(kind))
    except Exception:  # raised again where it belongs to a job
        return None
    with open_dict(base):
        base.pop("hydra", None)
    return base


def _with_settings(base: DictConfig, overrides: Overrides) -> DictConfig | None:
    """Return a base with the single settings of a job; None if one cannot be applied."""
    composed = copy.deepcopy(base)
    singles = [text for text in overrides if _SINGLE_SETTING.match(text)]
    try:
        for override in OverridesParser.create().parse_overrides(singles):
            OmegaConf.update(
                composed,
                override.key_or_group,
                override.value(),
                merge=True,
                force_add=override.is_force_add(),
            )
    except Exception:  # Hydra says it better
        return None
    return composed


_inherited: list[Compose] = []  # in a process that `configs` forks: its one function


def _begin(compose: Compose) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _inherited.append(compose)


def _end_with_parent() -> None:
    # After a hard death of the parent, nobody would tell this process that there is no more to do.
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _base_here(kind: Kind) -> DictConfig | None:
    return _base(_inherited[0], kind)
