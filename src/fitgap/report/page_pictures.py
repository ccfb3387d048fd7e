"""The pictures of a report's page: drawn once as SVG, and with their data, to be made interactive.

A page shows the SVG at once, in its own colours; its script replaces it by the same chart with
hover, zoom and groups to hide. Where the data of all pictures would make the file too large, the
last ones stay as they are.
"""

import itertools
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from markupsafe import Markup

from fitgap.charts.fonts import FONT
from fitgap.charts.picture import Picture, svg_of
from fitgap.charts.themes import PAGE
from fitgap.comparison.groups import Section
from fitgap.comparison.variance import Components
from fitgap.errors import RequestError
from fitgap.report import curve_charts, gap_chart, settings_charts, variance_chart
from fitgap.store import Histories

MOST_DATA = 700_000  # characters of all charts' data, so that a page stays below 3 MB
# What a reader can do with each kind of chart.
HINTS = {
    "curves": "A click leaves only that group; the wheel zooms, a double click zooms back.",
    "gap": "The wheel zooms, a double click zooms back.",
    "parallel": "A click on a line leaves only that one.",
    "variance": "",
}


@dataclass(frozen=True, slots=True)
class PagePicture:
    """A picture on a page.

    Attributes
    ----------
    kind
        As `fitgap.report.comparison_charts.KINDS`; of curves there are two.
    title
        What a heading and a screen reader say.
    svg
        As the page contains it.
    data
        Its Vega-Lite specification as JSON; empty where it is not to be interactive.
    """

    kind: str
    title: str
    svg: Markup
    data: str


def of_section(
    section: Section, histories: Histories, variances: Sequence[Components]
) -> list[PagePicture]:
    """Return what can be drawn of a section: curves, gap against metric, settings, variances."""
    metric, many = section.metric, len(section.groups) > curve_charts.MOST_CURVES
    wanted: list[tuple[str, str, Callable[[], Picture]]] = [
        (
            "curves",
            f"{name} by epoch, {'the first' if many else 'all'} groups",
            partial(curve_charts.curves, section, histories, metric=name),
        )
        for name in dict.fromkeys((metric, "loss"))
    ]
    title = f"validation {metric} against the gap"
    wanted.append(("gap", title, partial(gap_chart.gap_against_metric, section, metric=metric)))
    if len(section.keys) > 1 and len(section.groups) > 3:
        title = f"settings, validation {metric} and gap"
        make: Callable[[], Picture] = partial(
            settings_charts.parallel_coordinates, section, metric=metric
        )
        wanted.append(("parallel", title, make))
    if variances:
        title = "where the variance comes from"
        wanted.append(("variance", title, partial(variance_chart.draw, variances)))
    drawn = []
    for kind, title, make in wanted:
        try:
            picture = make()
        except RequestError:  # these runs have not what it shows
            continue
        spec = picture.spec(PAGE, font=FONT)
        data = json.dumps(spec, ensure_ascii=False, separators=(",", ":"))
        svg = inline(svg_of(spec), title=title)
        drawn.append(PagePicture(kind, title, svg, data.replace("<", "\\u003c")))
    return drawn


def within(pictures: Sequence[Sequence[PagePicture]]) -> list[list[PagePicture]]:
    """Return the pictures of several sections, the first ones with as much data as a page takes."""
    left = MOST_DATA
    kept: list[list[PagePicture]] = []
    for of_one in pictures:
        kept.append([])
        for picture in of_one:
            fits = len(picture.data) <= left
            left -= len(picture.data) if fits else 0
            kept[-1].append(picture if fits else replace(picture, data=""))
    return kept


_numbers = itertools.count(1)


def inline(svg: str, *, title: str) -> Markup:
    """Return an SVG file's text in the form that a page can contain.

    Its names (of clipping areas, say) become the page's own, without namespaces; a screen reader
    says the title and passes over the single lines.
    """
    prefix = f"p{next(_numbers)}-"
    svg = re.sub(r'\bid="', f'id="{prefix}', svg)
    svg = svg.replace("url(#", f"url(#{prefix}").replace('href="#', f'href="#{prefix}')
    svg = re.sub(r' xmlns(?::\w+)?="[^"]*"', "", svg, count=3)
    svg = re.sub(r' (?:aria-[\w-]+|role)="[^"]*"', "", svg)
    svg = svg.replace(' class="marks"', "", 1)
    label = Markup.escape(title)
    return Markup(  # noqa: S704 (vl-convert escapes texts)
        svg.replace("<svg", f'<svg class="plot" role="img" aria-label="{label}"', 1)
    )
