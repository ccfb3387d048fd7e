"""The picture of a race's log: how far each candidate was behind the best, round by round."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import altair as alt

from fitgap.charts import labels, marks
from fitgap.charts.picture import Picture
from fitgap.charts.scales import epoch_axis, padded
from fitgap.charts.themes import MOST_COLOURED
from fitgap.comparison.race import FAILED
from fitgap.comparison.race_log import Log
from fitgap.errors import RequestError

WIDTH, HEIGHT = 560, 300


def draw(log: Log, *, title: str = "") -> Picture:
    """Draw each candidate's difference to the best so far with its interval, after each round.

    The candidates that stand best at the end have a colour, a name and a band each; the others
    are grey lines, whose names a page shows where the mouse is.

    Parameters
    ----------
    log
        Of at least one round.
    title
        Said above the picture.

    Raises
    ------
    RequestError
        If no round ran to its end.
    """
    if not log.rounds:
        raise RequestError("the race has no round that ran to its end")
    short = labels.short_names(log.names)
    log = replace(log, names=tuple(short[name] for name in log.names))
    rows = _rows(log)
    margin = log.rule.margin
    # Intervals of the first rounds are so wide that they would press everything else flat.
    spread = [abs(row["difference"]) for row in rows]
    top = 2 * max([2 * margin, *spread])
    domain = padded([-top / 2, top])
    scale = alt.Scale(domain=domain, nice=False)
    names = _names(log, rows)
    coloured, others = names[:MOST_COLOURED], len(names) - MOST_COLOURED
    legend = alt.Legend(
        title=f"grey: the other {others}" if others > 0 else None,
        orient="bottom",
        symbolOpacity=1,
        values=coloured,
    )
    places = {name: i for i, name in enumerate(names)}
    colour = marks.group_colours(places, field="candidate", legend=legend)
    across = alt.X("round:Q", title="round", axis=epoch_axis(1, len(log.rounds)))
    up = alt.Y("difference:Q", scale=scale, title=f"worse than the best so far, {log.metric}")
    base = marks.of_rows(rows).encode(x=across, color=colour)
    limits = marks.of_rows([{"at": -margin}, {"at": margin}])
    told_apart = [row for row in rows if row["candidate"] in coloured]
    layers: list[Any] = [
        limits.mark_rule(strokeDash=[4, 4], color="muted").encode(y=alt.Y("at:Q", scale=scale)),
        # Of the grey ones, bands would hide everything.
        marks.of_rows(told_apart)
        .transform_filter("isValid(datum.low)")
        .mark_area(opacity=0.15, clip=True)
        .encode(x=across, color=colour, y=alt.Y("low:Q", scale=scale), y2="high:Q"),
        base.mark_line(clip=True).encode(y=up, detail="candidate:N"),
        base.mark_point(filled=True, size=36, clip=True, opacity=1).encode(
            y=up,
            tooltip=[
                alt.Tooltip("candidate:N"),
                alt.Tooltip("round:Q"),
                alt.Tooltip("difference:Q", format="+.4f"),
                alt.Tooltip("word:N"),
            ],
        ),
        marks.of_rows(_words_beside(told_apart, domain=domain))
        .mark_text(align="left", dx=7)
        .encode(x=across, y=alt.Y("at:Q", scale=scale), text="word:N", color=colour),
    ]
    return Picture(alt.layer(*layers).properties(width=WIDTH, height=HEIGHT), title)


def _names(log: Log, rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return the candidates that are drawn as they stand at the end, the best first."""
    drawn = {row["candidate"] for row in rows}
    ordered = (log.names[standing.candidate] for standing in log.standings)
    return [name for name in dict.fromkeys(ordered) if name in drawn]


def _rows(log: Log) -> list[dict[str, Any]]:
    """Return a row per round and candidate that was racing in it."""
    rows = []
    last = {
        one: number
        for number, ran in enumerate(log.rounds, start=1)
        for one, value in ran.values.items()
        if math.isfinite(value)
    }
    failed = {one.candidate for one in log.standings if one.word == FAILED}
    for number, (standings, one) in enumerate(
        zip(log.by_round(), log.rounds, strict=True), start=1
    ):
        for standing in standings:
            if standing.candidate not in one.values:
                continue
            difference = 0.0 if standing.word is None else standing.difference
            if difference is None:
                continue
            ends = number == last[standing.candidate]
            # It failed in a round that has no point of it.
            word = FAILED if ends and standing.candidate in failed else standing.word
            rows.append(
                {
                    "candidate": log.names[standing.candidate],
                    "round": number,
                    "difference": difference,
                    "low": standing.low,
                    "high": standing.high,
                    "word": word or "best",
                    "ends": ends,
                }
            )
    return rows


def _words_beside(
    rows: Sequence[dict[str, Any]], *, domain: tuple[float, float]
) -> list[dict[str, Any]]:
    """Return the word of each candidate at the end of its line, none on another."""
    unit = (domain[1] - domain[0]) / HEIGHT
    by_round: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        if row["ends"]:
            by_round.setdefault(row["round"], []).append(row)
    words = []
    for ended in by_round.values():
        places = labels.spread([row["difference"] / unit for row in ended])
        words += [row | {"at": at * unit} for row, at in zip(ended, places, strict=True)]
    return words
