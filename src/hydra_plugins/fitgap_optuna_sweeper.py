"""The sweeper ``hydra/sweeper=optuna``: a search, run by `fitgap.search.optimize`.

Hydra imports this module at every start, so Optuna is imported only when a search runs.
"""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore

from fitgap.search.settings import SearchSettings
from hydra_plugins import fitgap_grid_sweeper


class OptunaSweeper(fitgap_grid_sweeper.FitgapSweeper):
    """Hydra's sweep syntax as a space to search: choices, ranges, intervals."""

    def __init__(self, params: dict[str, str] | None = None, **settings: Any) -> None:
        super().__init__(params=params)
        self._settings = settings

    def sweep(self, arguments: list[str]) -> Any:
        """Search the space that the arguments and ``params`` make."""
        from fitgap.search import optimize
        from fitgap.sweep import workers

        assert self.config is not None
        assert self.launcher is not None
        master, launcher = self.config, self.launcher
        lists = ("metrics", "directions")
        settings: dict[str, Any] = {
            key: list(value) if key in lists and value is not None else value
            for key, value in self._settings.items()
        }
        given = list(master.hydra.overrides.hydra)
        fitgap_grid_sweeper.separate_folders(master)
        return optimize.run(
            self.parsed(arguments),
            settings=SearchSettings(**settings),
            compose=self.compose,
            workers=workers.Workers(launcher, workers.jobs_at_once(master.hydra.launcher)),
            command=[word for word in given if not word.startswith("hydra.mode=")] + arguments,
        )


@dataclass
class OptunaSweeperConf(SearchSettings):
    """``hydra/sweeper: optuna``: the settings of a search, and those of every sweeper."""

    _target_: str = "hydra_plugins.fitgap_optuna_sweeper.OptunaSweeper"
    params: dict[str, str] | None = field(default_factory=dict)


ConfigStore.instance().store(group="hydra/sweeper", name="optuna", node=OptunaSweeperConf)
