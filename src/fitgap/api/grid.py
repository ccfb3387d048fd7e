"""A grid as Hydra composes it, run by `fitgap.sweep.grid` within the calling process's session."""

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode

from fitgap.errors import RequestError
from fitgap.sweep import job

if TYPE_CHECKING:
    from hydra._internal.hydra import Hydra


class Grid:
    """The jobs that some overrides make.

    Parameters
    ----------
    hydra
        Of a `fitgap.api.hydra_session`.
    overrides
        As after ``fitgap train -m``.

    Attributes
    ----------
    settings
        Of each job, checked.
    """

    def __init__(self, hydra: "Hydra", overrides: Sequence[str]) -> None:
        from hydra._internal.callbacks import Callbacks

        # Now: Hydra's search for plugins has run each of them anew, with other classes.
        from hydra_plugins.fitgap_grid_sweeper import FitgapSweeper

        master = hydra.compose_config(
            "train",
            [*overrides, "hydra.mode=MULTIRUN"],
            run_mode=RunMode.MULTIRUN,
            with_log_configuration=False,
        )
        context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks(master))
        sweeper = Plugins.instance().instantiate_sweeper(
            config=master, hydra_context=context, task_function=job.run_job
        )
        if not isinstance(sweeper, FitgapSweeper):
            raise RequestError(
                "a study's sweep is a grid; for a search, use the command: fitgap train -m "
                "hydra/sweeper=optuna ..."
            )
        self._sweeper = sweeper
        self._arguments = list(master.hydra.overrides.task)
        # A notebook has threads, and a process with threads bears no fork.
        self._grid, settings = sweeper.jobs(self._arguments, in_processes=False)
        self.settings = list(settings)

    def run(self) -> None:
        """Train what is not finished yet. Failures are printed and recorded."""
        with contextlib.suppress(SystemExit):
            self._sweeper.run_jobs(self._grid, iter(self.settings), self._arguments)
