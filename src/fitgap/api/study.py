"""``fitgap.Study``: an experiment of the record and its data, to be run from Python.

It composes the settings as the command does, so each finds the runs that the other finished.
"""

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fitgap import processes, store
from fitgap.api import hydra_language, other_process, own_data, own_functions
from fitgap.api.hydra_session import session
from fitgap.api.run import Run, Runs, find
from fitgap.commands.overrides import refuse_repeated
from fitgap.config import project, settings
from fitgap.console import say
from fitgap.errors import RequestError

if TYPE_CHECKING:
    from fitgap.api.comparison import Comparison
    from fitgap.api.race import Race
    from fitgap.experiment import Plan


class Study:
    """An experiment of the record, with its data.

    Parameters
    ----------
    name
        Name of the MLflow experiment. None: the name of the project folder, as for the command.
    data
        A dataset's name (``"fashion_mnist"``) or settings (``{"name": "csv", "path": ...}``),
        arrays ``(x, y)`` or ``(x, y, x_test, y_test)``, a DataFrame, or a path.
    label
        Name of the column of labels, for a DataFrame or a table's file. A list of names, if each
        row has several targets.
    uri
        Where the record is. None: ``$MLFLOW_TRACKING_URI`` if it is set, otherwise ``mlflow.db``
        in the project folder.
    project
        The project folder; None: the nearest one from the working directory upwards.

    Raises
    ------
    RequestError
        If the data are none of these, or the project folder cannot be written.

    Examples
    --------
    >>> study = fitgap.Study("widths", data="digits")  # doctest: +SKIP
    >>> run = study.run(optimizer="adam", epochs=5)  # doctest: +SKIP
    >>> run.metrics["gap/accuracy"]  # doctest: +SKIP
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        data: Any = None,
        label: str | Sequence[str] | None = None,
        uri: str | None = None,
        project: str | Path | None = None,
    ) -> None:
        self.project = _project_folder(project)
        with self._in_project():
            self.name = name or _project_name()
            self.uri = store.resolve_uri(uri)
            self._data = own_data.overrides(data, label=label)

    def run(self, *, overrides: Sequence[str] = (), **given: Any) -> Run:
        """Train, evaluate and record one experiment, or return the run that already did.

        Parameters
        ----------
        overrides
            Settings in Hydra's language, as on the command line after ``fitgap train``.
        **given
            Settings by their config names: an option's name for a group, a mapping for a section
            (``split={"stratify": True}``). ``epochs``, ``batch_size`` and ``learning_rate`` are
            short names. ``architecture``, ``optimizer`` and ``loss`` may be functions, classes or
            import paths; optimizer and loss may also be Keras objects. An element of ``metrics``
            may be a mapping with its ``name`` and what its file in ``conf/metrics`` would contain.

        Returns
        -------
        Run

        Raises
        ------
        RequestError
            If a setting is wrong; nothing was started then.
        DivergedError
            If the loss stopped being finite.
        """
        with self._in_project():
            words, here_only = self._overrides(given, overrides, sweeps=False)
            with session():
                from hydra import compose

                config = settings.from_hydra(compose("train", words))
            from fitgap import experiment
            from fitgap.tracking import delivery

            planned = experiment.plan(config)
            store.check(planned.uri)
            delivery.deliver_waiting(planned.uri)
            result = experiment.finished(planned)
            if result is None and other_process.can_train_here(config.training.threads, here_only):
                for line in experiment.remarks(planned):
                    say(line)
                result = experiment.run(planned)
            elif result is None:
                other_process.run(["train", *words])
            return self._found([planned])[0]

    def sweep(self, *, workers: int = 1, overrides: Sequence[str] = (), **given: Any) -> Runs:
        """Train a grid: every combination of the values given as lists.

        Parameters
        ----------
        workers
            How many processes train at the same time. 1: only this process.
        overrides
            Settings in Hydra's language, as on the command line after ``fitgap train -m``.
        **given
            As in `run`. A list, a range or another iterable is a choice of values; a tuple is one
            value, and so is a list of metrics.

        Returns
        -------
        Runs
            One run per combination, in the order of the grid. This includes runs that were
            finished before, and failed runs with their reasons. A combination whose network cannot
            be built has no run; its reason is printed, and it counts as a failure.

        Raises
        ------
        RequestError
            If any combination is wrong; nothing was started then.
        """
        with self._in_project():
            words, here_only = self._overrides(given, overrides, sweeps=True)
            return self._found(self._train_grid(words, here_only, workers=workers))

    def race(
        self,
        *,
        margin: float | None = None,
        budget: int = 60,
        alpha: float = 0.05,
        workers: int = 1,
        overrides: Sequence[str] = (),
        **given: Any,
    ) -> "Race":
        """Train candidates, split by split, until the best of them is decided.

        The same call again continues the race; a larger budget allows more rounds.

        Parameters
        ----------
        margin
            Smaller differences do not matter. None: 0.005 for an accuracy.
        budget
            Largest number of runs, including those that are already recorded.
        alpha
            Largest probability of a false verdict.
        workers, overrides
            As in `sweep`.
        **given
            As in `sweep`; each combination of the listed values is a candidate. The race itself
            chooses ``seed`` and the seed of the split, round by round.

        Returns
        -------
        Race

        Raises
        ------
        RequestError
            If the requested race can decide nothing; then nothing was started.
        """
        from fitgap.api.race import Race
        from fitgap.comparison import race_log

        with self._in_project():
            words, here_only = self._overrides(given, overrides, sweeps=True)
            words += [
                "hydra/sweeper=race",
                f"hydra.sweeper.margin={'null' if margin is None else margin}",
                f"hydra.sweeper.budget={budget}",
                f"hydra.sweeper.alpha={alpha}",
            ]
            planned = self._train_grid(words, here_only, workers=workers)
            of_race = planned[0].config.tracking.experiment
            return Race(race_log.read(uri=planned[0].uri, experiment=of_race))

    def runs(self) -> Runs:
        """Return the runs of the experiment that ended, the oldest first."""
        return find(self.uri, experiment=self.name)

    def compare(
        self,
        *,
        sort: str | None = None,
        where: str | Sequence[str] = (),
        by: str | Sequence[str] = (),
        metrics: str | Sequence[str] = (),
        margin: float | None = None,
        these_images: bool = False,
    ) -> "Comparison":
        """Compare the finished runs of the experiment.

        Parameters
        ----------
        sort, where, by, metrics
            As in ``fitgap compare``: the metric to rank by, conditions
            (``["optimizer=adam"]``), the settings to group by, the metrics to show.
        margin
            Smaller differences do not matter, in the unit of the metric. None: 0.005 for an
            accuracy, 0 for other metrics.
        these_images
            Whether intervals and tests are about these images and splits only, not about others
            like them.

        Raises
        ------
        RequestError
            If there are no such runs, or a condition cannot be read.
        """
        from fitgap.api.comparison import Comparison
        from fitgap.comparison.query import Query

        query = Query(
            sort=sort,
            where=_listed(where),
            by=_listed(by),
            metrics=_listed(metrics),
            margin=margin,
            these_images=these_images,
        )
        with self._in_project():
            return Comparison(uri=self.uri, experiment=self.name, query=query)

    def __repr__(self) -> str:
        return f"<Study {self.name!r} in {store.redact(self.uri)}>"

    def _overrides(
        self, given: Mapping[str, Any], overrides: Sequence[str], *, sweeps: bool
    ) -> tuple[list[str], tuple[str, ...]]:
        """Return the command line's words, and the functions that only this process knows."""
        if processes.is_in_sweep():
            raise RequestError(
                "this process runs a job of a sweep, and a study cannot be run inside such a job"
            )
        if isinstance(overrides, str) or not all(isinstance(each, str) for each in overrides):
            raise RequestError(f"overrides must be a list of text, got {overrides!r}")
        replaced, here_only = own_functions.with_options(given)
        words = [
            *self._data,
            f"tracking.experiment={hydra_language.literal(self.name, key='name')}",
            f"tracking.uri={hydra_language.literal(self.uri, key='uri')}",
            *hydra_language.overrides(replaced, sweeps=sweeps),
            *overrides,
        ]
        refuse_repeated(words)
        if here_only and "tracking.reuse=false" not in words:
            words.append("tracking.reuse=false")
        return words, here_only

    def _train_grid(
        self, words: list[str], here_only: Sequence[str], *, workers: int
    ) -> "list[Plan]":
        """Train the grid that the words make, here or by the command; return its jobs' plans."""
        if not isinstance(workers, int) or workers < 1:
            raise RequestError(f"workers must be a whole number, 1 or more, got {workers!r}")
        if workers > 1:
            if here_only:
                raise RequestError(
                    f"{here_only[0]} has no source that other processes can import; define "
                    "it with def at the top of a module or cell, or use workers=1"
                )
            words = [*words, "hydra/launcher=joblib", f"hydra.launcher.n_jobs={workers}"]
        from fitgap import experiment
        from fitgap.api.grid import Grid

        with session() as hydra:
            grid = Grid(hydra, words)
            planned = [experiment.plan(config) for config in grid.settings]
            threads = planned[0].config.training.threads
            if workers > 1 or other_process.can_train_here(threads, here_only):
                grid.run()
            else:
                other_process.run(["train", "-m", *words], may_fail=True)
        return planned

    def _found(self, planned: Sequence["Plan"]) -> Runs:
        experiment_name = planned[0].config.tracking.experiment
        identities = [each.identity for each in planned]
        found = find(planned[0].uri, experiment=experiment_name, identities=identities)
        if not found:
            raise RuntimeError("no run was recorded, because its process ended too early")
        return found

    @contextmanager
    def _in_project(self) -> Iterator[None]:
        """Have everything happen in the study's project folder, wherever the process is by now."""
        before = os.environ.get(project.VARIABLE)
        project.use(self.project)
        project.make_importable()
        try:
            with warnings.catch_warnings():
                # What MLflow imports asks notebooks for a package that nothing here needs.
                warnings.filterwarnings("ignore", message="IProgress not found")
                yield
        finally:
            if before is None:
                del os.environ[project.VARIABLE]
            else:
                os.environ[project.VARIABLE] = before


def _listed(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _project_folder(given: str | Path | None) -> Path:
    folder = Path(given).expanduser().absolute() if given else project.folder()
    if not folder.is_dir():
        raise RequestError(f"project={str(given)!r} must be an existing folder")
    if not os.access(folder, os.W_OK):
        raise RequestError(f"the project folder {folder} cannot be written")
    return folder


def _project_name() -> str:
    return project.experiment()
