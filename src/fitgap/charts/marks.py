"""What several charts draw alike: rows as a chart, groups in their colours, texts on lines."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from fitgap.charts.themes import MOST_COLOURED


def of_rows(rows: Sequence[Mapping[str, Any]]) -> Any:  # altair's charts have no types here
    """Return a chart of rows; the rows that layers share are in a picture once.

    As a plain mapping with a tuple altair neither checks each value against Vega-Lite's schema
    nor copies the rows for each layer, which took most of a large chart's time.
    """
    return alt.Chart({"values": tuple(rows)})


def group_colours(places: Mapping[Any, int], *, field: str, legend: Any) -> Any:
    """Return the colours of groups: one for each of the first, one for all others.

    Parameters
    ----------
    places
        From 0, by what ``field`` holds: places in the ranking, so that a group has one colour in
        all charts.
    field, legend
        As Vega-Lite takes them.
    """
    roles = [f"group-{i + 1}" if i < MOST_COLOURED else "other" for i in places.values()]
    return alt.Color(f"{field}:N", scale=alt.Scale(domain=list(places), range=roles), legend=legend)


def on_lines(chart: Any, **settings: Any) -> list[Any]:
    """Return a chart's texts twice: first their edge in the paper's colour, where lines end.

    Parameters
    ----------
    chart
        With its encodings.
    settings
        Of the texts.
    """
    return [
        chart.mark_text(align="left", stroke=stroke, strokeWidth=width, color="ink", **settings)
        for stroke, width in (("paper", 4), (None, 0))
    ]
