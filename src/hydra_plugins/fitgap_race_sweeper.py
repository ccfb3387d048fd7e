"""The sweeper ``hydra/sweeper=race``: a race of a grid's jobs, by `fitgap.comparison.race_rounds`.

Hydra imports this module at every start, so nothing heavy may be imported here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore

from hydra_plugins.fitgap_grid_sweeper import FitgapSweeper

if TYPE_CHECKING:
    from fitgap.config.schema import Config


class RaceSweeper(FitgapSweeper):
    """The grid's jobs are candidates, replicated until the best is decided."""

    def __init__(
        self,
        params: dict[str, str] | None = None,
        resume: str | None = None,  # noqa: ARG002 (of a round: the race finds what is finished)
        **request: Any,
    ) -> None:
        super().__init__(params=params)
        self._request = request
        self._is_race = True

    def sweep(self, arguments: list[str]) -> Any:
        """Run the race of the grid that the arguments and ``params`` make."""
        from fitgap import experiment
        from fitgap.comparison.race import FAILED
        from fitgap.console import say
        from fitgap.report import race_table
        from fitgap.sweep import endings

        grid, found = self.jobs(arguments)
        settings = list(found)
        result = self.run_jobs(grid, iter(settings), arguments)
        say(race_table.text(result))
        say("\n".join(endings.of_race(experiment.plan(settings[0]))))
        if result.word == FAILED:
            raise SystemExit(1)
        return result

    def run_jobs(
        self, grid: list[list[str]], settings: "Iterator[Config]", arguments: list[str]
    ) -> Any:
        """Run the race of the jobs that `jobs` found; return its `Log`."""
        from fitgap.comparison import race_rounds

        def train(jobs: list[list[str]], configs: "list[Config]") -> None:
            try:
                FitgapSweeper.run_jobs(self, jobs, iter(configs), arguments)
            except SystemExit as end:
                if end.code != 1:  # what failed is in the record, and was said
                    raise

        request = race_rounds.Request(**self._request)
        return race_rounds.run(grid, list(settings), request=request, train=train)


@dataclass
class RaceSweeperConf:
    """``hydra/sweeper: race``; see `fitgap.comparison.race_rounds.Request`."""

    _target_: str = "hydra_plugins.fitgap_race_sweeper.RaceSweeper"
    budget: int = 60
    margin: float | None = None
    alpha: float = 0.05
    params: dict[str, str] | None = field(default_factory=dict)
    resume: str | None = None


ConfigStore.instance().store(group="hydra/sweeper", name="race", node=RaceSweeperConf)
