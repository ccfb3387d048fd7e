"""A comparison, as Python and notebooks see it: the table, the best, pictures, the report."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fitgap.api.run import Run, Runs
from fitgap.comparison import ranking
from fitgap.comparison.groups import Group, Section
from fitgap.comparison.query import Query

if TYPE_CHECKING:
    import pandas as pd

WIDTH = 110  # of the table in a notebook, in letters


@dataclass(frozen=True)
class Best:
    """The settings that a ranking puts first.

    Attributes
    ----------
    settings
        The settings that differ between the compared groups.
    metrics
        Means over the runs, by name.
    runs
        The runs with these settings, one for each replicate.
    ties
        Settings of the groups that the runs cannot distinguish from this one.
    """

    settings: dict[str, Any]
    metrics: dict[str, float]
    runs: Runs
    ties: tuple[dict[str, Any], ...]


class Comparison:
    """The finished runs of an experiment, ranked in groups that differ in their settings."""

    def __init__(self, *, uri: str, experiment: str, query: Query) -> None:
        self._uri, self._experiment, self._query = uri, experiment, query
        self._found = ranking.compare_experiment(uri, experiment=experiment, query=query)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that a reader must know to judge the ranking."""
        return self._found.notes

    def to_frame(self, *, everything: bool = False) -> "pd.DataFrame":
        """Return a row per group, best first: the settings that differ, n, and the figures.

        Parameters
        ----------
        everything
            True: every metric has columns, also for the standard deviation, the interval for
            other images, and the test against the best group. False: only the columns of the
            table, with ``_mean``, and ``_low`` and ``_high``, the bounds of its interval; of the
            seconds of training the ``_median``, as in the table.
        """
        import pandas as pd

        from fitgap.report.leaderboard import FIT_SECONDS, figure_names, median_of
        from fitgap.report.terminal import to_csv

        frame = pd.read_csv(io.StringIO(to_csv(self._found)))
        if everything:
            return frame
        sections, requested = self._found.sections, self._found.metrics
        names = dict.fromkeys(name for each in sections for name in figure_names(each, requested))
        groups = [group for section in sections for group in section.groups]
        median = f"{FIT_SECONDS}_median"
        frame[median] = [median_of(group, FIT_SECONDS) for group in groups]
        shown = [
            column
            for name in names
            for column in (
                [median]
                if name == FIT_SECONDS
                else [f"{name}_{part}" for part in ("mean", "low", "high")]
            )
        ]
        settings = list(frame.columns)[: frame.columns.get_loc("n") + 1]
        return frame[settings + shown]

    @property
    def best(self) -> Best:
        """The first group of the ranking with the most runs, and its ties."""
        section = self._found.sections[0]
        first = section.groups[0]
        return Best(
            settings=dict(first.settings),
            metrics={name: found.mean for name, found in first.metrics.items() if found.n},
            runs=Runs(
                Run(stored, uri=self._uri, experiment=self._experiment) for stored in first.runs
            ),
            ties=tuple(dict(group.settings) for group in _ties(section)),
        )

    def plot(
        self,
        kind: str = "curves",
        *,
        metrics: Sequence[str] = (),
        x: str = "epochs",
        log: str = "",
        settings: Sequence[str] = (),
        title: str = "",
    ) -> Any:
        """Return a picture that a notebook shows and that has ``save("x.svg")``.

        Parameters
        ----------
        kind
            ``curves``, ``gap``, ``parallel``, ``matrix`` or ``variance``; ``remedies``,
            ``learning-curve`` or ``race``, from the newest sweep of that kind.
        metrics, x, log, settings, title
            As in ``fitgap plot``.

        Returns
        -------
        Picture or list of Picture
            A list if the runs are on different data.
        """
        from fitgap.report import comparison_charts, sweep_charts

        if kind in sweep_charts.KINDS:
            return sweep_charts.draw(
                kind,
                uri=self._uri,
                experiment=self._experiment,
                sweep=self._query.sweep,
                title=title,
            )
        pictures = comparison_charts.draw(
            self._found,
            kind,
            uri=self._uri,
            metrics=metrics,
            x=x,
            log=log,
            settings=settings,
            title=title,
        )
        return pictures[0] if len(pictures) == 1 else pictures

    def report(self, path: str | Path) -> Path:
        """Write the comparison as one HTML file and return its path."""
        from fitgap.report import page

        page.write(Path(path), uri=self._uri, experiment=self._experiment, query=self._query)
        return Path(path)

    def __repr__(self) -> str:
        return str(self._table().export_text()).rstrip()

    def _repr_html_(self) -> str:
        style = "font-family:ui-monospace,monospace;line-height:1.25;white-space:pre"
        return str(
            self._table().export_html(
                inline_styles=True, code_format=f"<pre style='{style}'>{{code}}</pre>"
            )
        )

    def _table(self) -> Any:
        from rich.console import Console

        from fitgap.report.terminal import print_table

        console = Console(record=True, file=io.StringIO(), width=WIDTH, force_jupyter=False)
        print_table(self._found, console=console, explain=True)
        return console


def _ties(section: Section) -> list[Group]:
    return [g for g in section.groups[1:] if g.against_best is not None and g.against_best.is_tie]
