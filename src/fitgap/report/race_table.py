"""What a race has found, as text."""

import math

from fitgap.comparison.estimates import SPLITS
from fitgap.comparison.race import BETTER, FAILED, MOST_ROUNDS, Standing
from fitgap.comparison.race_log import Log
from fitgap.comparison.ties import EQUIVALENT
from fitgap.evaluation.figures import figure_text

_HEADER = ("candidate", "rounds", "mean", "worse than the best by", "word")


def text(result: Log) -> str:
    """Return the table of a race, what it decided, and what that holds for."""
    rows = [_HEADER, *(_row(result.names[one.candidate], one) for one in result.standings)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    scope = "data like these" if result.covers == SPLITS else "these data, with other seeds"
    return "\n".join(
        [
            heading(result),
            *lines,
            _decision(result),
            *_of_those_that_failed(result),
            f"This holds for {scope}, at every round: the verdict is false in at most "
            f"{result.rule.alpha:.3g} of races. If several candidates are equally good, some of "
            "them may be out.",
        ]
    )


def heading(log: Log) -> str:
    """Return what was raced by, and what it took."""
    return f"race by {log.metric}: {len(log.rounds)} rounds, {log.runs} runs"


def _decision(result: Log) -> str:
    margin = f"{result.rule.margin:g}"
    best = result.names[result.standings[0].candidate]
    if result.word == BETTER:
        return f"better: {best}"
    if result.word == EQUIVALENT:
        return f"equivalent: all candidates that are left lie within {margin} of {best}"
    if result.word == FAILED:
        return "failed: no candidate finished"
    if len(result.rounds) == MOST_ROUNDS:
        return (
            f"undecided: a race ends after {MOST_ROUNDS} rounds; with a larger --margin it may be "
            "decided now"
        )
    return (
        "undecided: the budget is used; the same command with a larger --budget continues "
        "the race, and with a larger --margin it may be decided now"
    )


def _of_those_that_failed(result: Log) -> list[str]:
    failed = [result.names[one.candidate] for one in result.standings if one.word == FAILED]
    if not failed or result.word == FAILED:
        return []
    return [f"Not compared, because it failed: {', '.join(failed)}."]


def _row(name: str, one: Standing) -> tuple[str, ...]:
    mean = "" if math.isnan(one.mean) else figure_text(one.mean)
    difference = ""
    if one.difference is not None:
        difference = figure_text(one.difference)
        if one.low is not None and one.high is not None and one.low < one.high:
            difference += f" ({figure_text(one.low)} to {figure_text(one.high)})"
    return name, str(one.rounds), mean, difference, one.word or "best"
