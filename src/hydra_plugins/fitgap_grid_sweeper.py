"""The sweeper that `fitgap train` uses: Hydra's basic grid, run by `fitgap.sweep.grid`.

Hydra takes plugins from the package ``hydra_plugins`` only and imports all of them at every
start, so nothing heavy may be imported here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from hydra_plugins.fitgap_neighbours import reads_fitgaps_options

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

    from fitgap.config.schema import Config


class FitgapSweeper(BasicSweeper):
    """The grid of Hydra's basic sweeper, checked as a whole before anything starts."""

    def __init__(
        self,
        params: dict[str, str] | None = None,
        fail_fast: bool = False,
        dry_run: bool = False,
        resume: str | None = None,
    ) -> None:
        super().__init__(max_batch_size=None, params=params)
        self._fail_fast = fail_fast
        self._dry_run = dry_run
        self._resume = resume
        self._is_race = False
        self._of_hydra: list[str] = []  # overrides of Hydra's settings, as the person gave them

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Make the launcher, if what it needs is installed."""
        from fitgap.errors import RequestError
        from fitgap.sweep import workers

        if not reads_fitgaps_options(config):
            raise RequestError(
                f"hydra/sweeper={config.hydra.runtime.choices['hydra/sweeper']} runs fitgap's "
                "experiments only; in this application take hydra/sweeper=basic"
            )
        workers.require(config.hydra.runtime.choices["hydra/launcher"], config.hydra.launcher)
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def sweep(self, arguments: list[str]) -> Any:
        """Run the grid that the arguments and ``params`` make."""
        grid, settings = self.jobs(arguments)
        return self.run_jobs(grid, settings, arguments)

    def run_jobs(
        self, grid: list[list[str]], settings: "Iterator[Config]", arguments: list[str]
    ) -> Any:
        """Run the jobs that `jobs` found, or show what would be trained."""
        assert self.config is not None
        assert self.launcher is not None
        master, launcher = self.config, self.launcher
        # Half a second of imports, while other processes compose.
        from fitgap.sweep import grid as sweeps
        from fitgap.sweep import preview as sweep_preview
        from fitgap.sweep import workers

        number = workers.jobs_at_once(master.hydra.launcher)
        if self._dry_run:
            return sweep_preview.preview(grid, settings, workers=number)
        return sweeps.run(
            grid,
            settings,
            workers=workers.Workers(launcher, number),
            publish=_publish,
            request=sweeps.Request(
                hydra=self._of_hydra,
                task=arguments,
                fail_fast=self._fail_fast,
                resume=self._resume,
                is_round=self._is_race,
            ),
        )

    def jobs(
        self, arguments: list[str], *, in_processes: bool = True
    ) -> "tuple[list[list[str]], Iterator[Config]]":
        """Return the overrides of each job of a grid, and the settings that each makes."""
        from fitgap.sweep import composition

        assert self.config is not None
        master = self.config
        self._leave_out_remedies(self.parsed(arguments))
        overrides = self.parsed(arguments)
        composition.refuse_empty(overrides)
        (grid,) = self.split_arguments(overrides, max_batch_size=None)
        given = OmegaConf.to_container(master.hydra.overrides.hydra, resolve=False)
        self._of_hydra = cast("list[str]", given)
        separate_folders(master)
        settings = composition.configs(grid, self.compose, in_processes=in_processes)
        return grid, composition.numbered(settings, master)

    def parsed(self, arguments: list[str]) -> "list[Override]":
        """Return the overrides that ``params`` and the arguments make together."""
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        return parser.parse_overrides([*self._parse_config(), *arguments])

    def compose(self, overrides: list[str]) -> DictConfig:
        """Have Hydra compose the configuration of a job."""
        assert self.config is not None
        assert self.hydra_context is not None
        return self.hydra_context.config_loader.load_sweep_config(self.config, overrides)

    def _leave_out_remedies(self, overrides: "list[Override]") -> None:
        """Take what does not fit the data, the task or the network from a preset's remedies."""
        remedies = [one for one in overrides if one.key_or_group == "remedy"]
        if "remedy" not in (self.params or {}) or len(remedies) > 1:
            return  # there are none, or a person has chosen them
        from fitgap import experiment
        from fitgap.config import settings
        from fitgap.console import say
        from fitgap.sweep import fitting_remedies

        composed = self.compose([_first(one) for one in overrides if one is not remedies[0]])
        planned = experiment.plan(settings.from_hydra(composed))
        fits = []
        for remedy in remedies[0].sweep_string_iterator():
            reason = fitting_remedies.why_not(remedy, planned)
            if reason is None:
                fits.append(remedy)
            else:
                say(f"remedy={remedy} is left out: {reason}")
        self.params["remedy"] = ",".join(fits)


def _first(override: "Override") -> str:
    """Return an override with the first of its values."""
    if not override.is_sweep_override():
        return str(override.input_line)
    return f"{override.get_key_element()}={next(iter(override.sweep_string_iterator()))}"


def separate_folders(master: DictConfig) -> None:
    """Give each job a folder of its own where a person has Hydra write its files.

    Hydra composes each job from the command's overrides, so it has to be one of them.
    """
    folders = cast("dict[str, Any]", OmegaConf.to_container(master.hydra.sweep, resolve=False))
    if master.hydra.output_subdir is None or folders["subdir"] != ".":
        return
    with read_write(master), open_dict(master):
        master.hydra.overrides.hydra.append("hydra.sweep.subdir=${hydra.job.num}")


def _publish(parent: str, plans: Sequence[Any]) -> None:
    from fitgap.report import sweep_page  # only a sweep that ran needs it

    sweep_page.publish(parent, plans)


@dataclass
class FitgapSweeperConf:
    """``hydra/sweeper: fitgap``.

    ``params`` are sweep overrides that a preset brings along; ``fail_fast`` starts no further run
    after a failure; ``dry_run`` shows what would be trained; ``resume`` names the parent run to
    go on with, as ``fitgap sweep resume`` does.
    """

    _target_: str = "hydra_plugins.fitgap_grid_sweeper.FitgapSweeper"
    params: dict[str, str] | None = field(default_factory=dict)
    fail_fast: bool = False
    dry_run: bool = False
    resume: str | None = None


ConfigStore.instance().store(group="hydra/sweeper", name="fitgap", node=FitgapSweeperConf)
