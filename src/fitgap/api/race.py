"""What `Study.race` found, as Python and notebooks see it: the word, the table, the picture."""

from typing import TYPE_CHECKING, Any

from fitgap.comparison.race import FAILED
from fitgap.comparison.race_log import Log

if TYPE_CHECKING:
    import pandas as pd


class Race:
    """A race that ended.

    Attributes
    ----------
    word
        ``better``, ``equivalent``, ``undecided`` or ``failed``.
    best
        The candidate that leads, by the settings in which it differs; None if all failed.
    rounds, runs
        Number of rounds, and number of runs that they took.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self.word = log.word
        self.best = None if log.word == FAILED else log.names[log.standings[0].candidate]
        self.rounds, self.runs = len(log.rounds), log.runs

    def to_frame(self) -> "pd.DataFrame":
        """Return a row per candidate, the best first: its distance to the best, with interval."""
        import pandas as pd

        rows = [
            {
                "candidate": self._log.names[one.candidate],
                "rounds": one.rounds,
                "mean": one.mean,
                "difference": one.difference,
                "low": one.low,
                "high": one.high,
                "word": one.word or "best",
            }
            for one in self._log.standings
        ]
        return pd.DataFrame(rows)

    def plot(self, *, title: str = "") -> Any:
        """Return the picture of how the candidates stood, round by round."""
        from fitgap.report import race_chart, race_table

        return race_chart.draw(self._log, title=title or race_table.heading(self._log))

    def __repr__(self) -> str:
        from fitgap.report import race_table

        return race_table.text(self._log)
