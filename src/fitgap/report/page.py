"""A report as one HTML file that needs no network: template, style, script and pictures in it."""

import base64
import hashlib
import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from fitgap.comparison.effects import RULE as EFFECTS_RULE
from fitgap.comparison.effects import Effect
from fitgap.comparison.estimates import Estimate, higher_is_better
from fitgap.comparison.gap_curves import mean_of
from fitgap.comparison.groups import EVERYTHING, Group, image_interval
from fitgap.comparison.query import Query
from fitgap.comparison.significance import wilson
from fitgap.comparison.varying_settings import show
from fitgap.comparison.verdicts import RULE
from fitgap.errors import RequestError
from fitgap.report import charts
from fitgap.report.charts import Point
from fitgap.report.claims import coverage, decision
from fitgap.report.content import (
    MOST_CURVES,
    MOST_FAILURES,
    QUANTITIES,
    Report,
    ReportedSection,
    report_on,
)
from fitgap.report.leaderboard import (
    BEST,
    EQUAL,
    FIT_SECONDS,
    MOST_DECIMALS,
    TIE,
    UNTESTED,
    count_of,
    label_of,
    median_of,
)
from fitgap.report.test_errors import MOST_TESTED, SelectedModel

MOST_POINTS = 1000  # of a scatter
MOST_CLASSES = 20  # of a confusion matrix that can be read; of more, the largest cells
TEMPLATE = "report.html.j2"
ABSENT = "–"


def write(path: Path, *, uri: str, experiment: str, query: Query = EVERYTHING) -> None:
    """Write the report of an experiment, or with ``query.sweep`` of one sweep, as a file.

    Parameters
    ----------
    path
        Of the file; its folder is made.
    uri, experiment, query
        As `fitgap.comparison.groups.compare_experiment` takes them.

    Raises
    ------
    RequestError
        As that function does, and if the file cannot be written.
    """
    html = to_html(report_on(uri, experiment=experiment, query=query))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        raise RequestError(f"--output {path} cannot be written: {error.strerror}") from error


def to_html(report: Report) -> str:
    """Return the whole page.

    Whatever comes from runs (names, tags, reasons) is escaped. Should something slip through all
    the same, the page's own policy lets a browser run no script but the page's and load nothing.
    """
    environment = Environment(
        loader=PackageLoader("fitgap.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"figure": figure, "interval": interval, "p": p_value, "setting": show}
    environment.globals |= {
        "curve_pictures": curve_pictures,
        "bar": charts.bar,
        "confusions": confusions,
        "count_of": count_of,
        "coverage": coverage,
        "decision": decision,
        "effect_limits": effect_limits,
        "gap_limits": gap_limits,
        "higher_is_better": higher_is_better,
        "image_interval": image_interval,
        "mean_or_median": mean_or_median,
        "png_address": png_address,
        "scatter": scatter,
        "wilson": wilson,
    }
    script = _source(environment, "report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template(TEMPLATE).render(
        report=report,
        rule=RULE,
        effects_rule=EFFECTS_RULE,
        marks={"best": BEST, "equal": EQUAL, "tie": TIE, "untested": UNTESTED},
        most_tested=MOST_TESTED,
        most_points=MOST_POINTS,
        most_classes=MOST_CLASSES,
        most_curves=MOST_CURVES,
        most_failures=MOST_FAILURES,
        style=Markup(_source(environment, "report.css")),  # noqa: S704
        script=Markup(script),  # noqa: S704
        script_digest=digest,
    )


def figure(value: float | None, metric: str = "") -> str:
    """Return a number as the report writes it; seconds with two decimals, all else with four."""
    if value is None:
        return ABSENT
    decimals = 2 if metric == FIT_SECONDS else MOST_DECIMALS
    sign = "+" if metric.startswith(("gap/", "test_gap/")) else ""
    return f"{value:{sign}.{decimals}f}".replace("-", "−")


def interval(found: Estimate, metric: str = "") -> str:
    """Return the bounds of a mean's interval, or nothing where there is none.

    Nor for seconds, whose median is shown: what else the machine did does not scatter normally.
    """
    if found.low is None or found.high is None or metric == FIT_SECONDS:
        return ""
    return f"{figure(found.low, metric)} to {figure(found.high, metric)}"


def p_value(p: float | None) -> str:
    """Return a p-value as papers write it.

    >>> p_value(0.0004), p_value(0.25), p_value(None)
    ('< 0.001', '0.250', '–')
    """
    if p is None:
        return ABSENT
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def mean_or_median(group: Group, metric: str) -> float:
    """Return what a leaderboard shows of a metric: the mean, of seconds the median."""
    median = median_of(group, metric) if metric == FIT_SECONDS else None
    return group.metrics[metric].mean if median is None else median


def png_address(pixels: NDArray[np.uint8]) -> str:
    """Return an image as the address of a PNG file within the page.

    Parameters
    ----------
    pixels
        uint8 of shape (height, width[, channels]).
    """
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(file, format="png")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def confusions(model: SelectedModel) -> list[tuple[str, str, int]]:
    """Return true class, predicted class and count of the most frequent confusions."""
    if model.confusion is None:
        return []
    counts = model.confusion.copy()
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:MOST_CLASSES]
    pairs = (divmod(int(i), len(counts)) for i in order)
    names = model.class_names
    return [(names[i], names[j], int(counts[i, j])) for i, j in pairs if counts[i, j]]


def scatter(part: ReportedSection) -> Markup | None:
    """Return the picture of accuracy against gap, None if no group has both.

    Of thousands of groups, the first `MOST_POINTS` and those on the front are drawn.
    """
    points = [
        Point(
            accuracy=group.metrics["val/accuracy"],
            gap=group.metrics["gap/accuracy"],
            rank=i + 1 if part.section.sort in group.metrics else None,
            label=label_of(group),
            on_front=i in part.front,
        )
        for i, group in enumerate(part.section.groups)
        if (i < MOST_POINTS or i in part.front)
        and math.isfinite(mean_of(group, "val/accuracy"))
        and math.isfinite(mean_of(group, "gap/accuracy"))
    ]
    return charts.scatter(points) if points else None


def curve_pictures(part: ReportedSection) -> list[tuple[str, list[Markup]]]:
    """Return label and learning curves, loss and accuracy, of the groups that have any."""
    drawn = [one for one in part.shown if any(curve.epochs for curve in one.curves.values())]
    limits = {
        quantity: charts.limits_of([one.curves for one in drawn], quantity)
        for quantity in QUANTITIES
    }
    found: list[tuple[str, list[Markup]]] = []
    for one in drawn:
        best = mean_of(one.group, "best_epoch")
        pictures = [
            charts.learning_curves(
                one.curves,
                quantity=quantity,
                label=one.label,
                limits=limits[quantity],
                best_epoch=best if math.isfinite(best) else None,
            )
            for quantity in QUANTITIES
        ]
        found.append((f"#{one.rank} {one.label}" if one.rank else one.label, pictures))
    return found


def gap_limits(part: ReportedSection) -> tuple[float, float]:
    """Return the scale on which the gaps of a section are drawn."""
    gaps: Sequence[Estimate] = [
        one.group.metrics["gap/accuracy"]
        for one in part.shown
        if math.isfinite(mean_of(one.group, "gap/accuracy"))
    ]
    return charts.limits_with_zero(gaps)


def effect_limits(effects: Sequence[Effect]) -> tuple[float, float]:
    """Return the scale on which the effects on one metric are drawn."""
    levels = [level.deviation for effect in effects for level in effect.levels]
    return charts.limits_with_zero(levels)


def _source(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]
