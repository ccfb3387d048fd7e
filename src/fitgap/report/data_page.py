"""The findings about data as one HTML file: the text of the data report, with its classes drawn."""

from collections.abc import Mapping
from pathlib import Path

import altair as alt
from markdown_it import MarkdownIt
from markupsafe import Markup

from fitgap.charts import labels, marks
from fitgap.charts.picture import Picture
from fitgap.charts.themes import PAGE
from fitgap.data import data_report
from fitgap.data.findings import DataFindings
from fitgap.report import page_style
from fitgap.report.page_pictures import inline
from fitgap.trust.text import line

MOST_CLASSES = 30  # that are drawn
WIDTH, BAR = 420, 11


def write(path: Path, found: DataFindings) -> None:
    """Write the page as a file; its folder is made.

    Raises
    ------
    RequestError
        If the file cannot be written.
    """
    page_style.write(path, to_html(found))


def to_html(found: DataFindings) -> str:
    """Return the page.

    Names that come from the data are escaped, and its own policy lets a browser run and load
    nothing.
    """
    environment = page_style.environment()
    figures, _, duplicates = data_report.to_markdown(found).partition("\n## ")
    return environment.get_template("data.html.j2").render(
        title=found.dataset,
        style=page_style.style(environment),
        figures=_rendered(figures),
        duplicates=_rendered(f"## {duplicates}"),
        classes=_drawn(found),
    )


def _rendered(markdown: str) -> Markup:
    renderer = MarkdownIt("commonmark", {"html": False}).enable("table")
    return Markup(renderer.render(markdown))  # noqa: S704 (the renderer escapes HTML)


def _drawn(found: DataFindings) -> Markup | None:
    counts = {
        name: part.class_counts for name, part in found.partitions.items() if part.class_counts
    }
    if not counts:
        return None
    return inline(class_shares(counts).svg(PAGE), title="share of each class by partition")


def class_shares(counts: Mapping[str, Mapping[str, int]]) -> Picture:
    """Draw the share of each class in each partition; of many classes the most frequent.

    Parameters
    ----------
    counts
        Samples by partition and class; one partition at least.
    """
    first = next(iter(counts.values()))
    frequent = sorted(first, key=lambda name: -first[name])[:MOST_CLASSES]
    names = [name for name in first if name in frequent]
    short = labels.short_names(map(line, names))
    rows = [
        {"class": short[line(name)], "partition": partition, "share": of[name] / sum(of.values())}
        for partition, of in counts.items()
        for name in names
        if sum(of.values())
    ]
    partitions = list(dict.fromkeys(row["partition"] for row in rows))
    colours = [f"group-{i}" for i in range(1, len(partitions) + 1)]
    some = f" (the {len(names)} most frequent of {len(first)})" if len(names) < len(first) else ""
    chart = (
        marks.of_rows(rows)
        .mark_bar(height=BAR - 2)
        .encode(
            x=alt.X("share:Q", title="share of the partition", axis=alt.Axis(format="%")),
            y=alt.Y("class:N", sort=list(short.values()), title=f"class{some}"),
            yOffset=alt.YOffset("partition:N", sort=partitions),
            color=alt.Color(
                "partition:N",
                scale=alt.Scale(domain=partitions, range=colours),
                legend=alt.Legend(title=None, orient="top", columns=3),
            ),
        )
    )
    height = len(names) * (BAR * len(partitions) + 6)
    return Picture(chart.properties(width=WIDTH, height=height))
