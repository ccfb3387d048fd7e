"""A report as one HTML file that needs no network: template, style, script and pictures in it."""

import base64
import hashlib
import math
from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fitgap import report_figures
from fitgap.differences import show
from fitgap.estimates import Estimate, higher_is_better
from fitgap.leaderboard import FIT_SECONDS, MOST_DECIMALS
from fitgap.report import (
    MOST_CURVES,
    MOST_FAILURES,
    QUANTITIES,
    Report,
    ReportedSection,
    label_of,
    mean_of,
)
from fitgap.report_figures import Point
from fitgap.verdicts import RULE

TEMPLATE = "report.html.j2"
ABSENT = "–"


def to_html(report: Report) -> str:
    """Return the whole page.

    Whatever comes from runs (names, tags, reasons) is escaped. Should something slip through all
    the same, the page's own policy lets a browser run no script but the page's and load nothing.
    """
    environment = Environment(
        loader=PackageLoader("fitgap"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"figure": figure, "interval": interval, "setting": show}
    environment.globals |= {
        "curve_pictures": curve_pictures,
        "gap_bar": report_figures.gap_bar,
        "gap_limits": gap_limits,
        "higher_is_better": higher_is_better,
        "image_error": image_error,
        "label_of": label_of,
        "scatter": scatter,
    }
    script = _source(environment, "report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template(TEMPLATE).render(
        report=report,
        rule=RULE,
        most_curves=MOST_CURVES,
        most_failures=MOST_FAILURES,
        style=Markup(_source(environment, "report.css")),  # noqa: S704
        script=Markup(script),  # noqa: S704
        script_digest=digest,
    )


def figure(value: float | None, metric: str = "") -> str:
    """Return a number as the report writes it; seconds with one decimal, all else with four."""
    if value is None:
        return ABSENT
    decimals = 1 if metric == FIT_SECONDS else MOST_DECIMALS
    sign = "+" if metric.startswith(("gap/", "test_gap/")) else ""
    return f"{value:{sign}.{decimals}f}".replace("-", "−")


def interval(found: Estimate, metric: str = "") -> str:
    """Return the bounds of a mean's interval, or nothing where there is none.

    Nor for seconds: what else the machine did does not scatter normally, and who reads of -5 s
    believes the other intervals less.
    """
    if found.low is None or found.high is None or metric == FIT_SECONDS:
        return ""
    return f"{figure(found.low, metric)} to {figure(found.high, metric)}"


def image_error(accuracy: float, *, images: int) -> float:
    """Return half the width of the 95 % interval that the number of images alone gives."""
    return 1.96 * math.sqrt(accuracy * (1 - accuracy) / images)


def scatter(part: ReportedSection) -> Markup | None:
    """Return the picture of accuracy against gap, None if no group has both."""
    points = [
        Point(
            accuracy=group.metrics["val/accuracy"],
            gap=group.metrics["gap/accuracy"],
            rank=i + 1 if part.section.sort in group.metrics else None,
            label=label_of(group),
            on_front=i in part.front,
        )
        for i, group in enumerate(part.section.groups)
        if math.isfinite(mean_of(group, "val/accuracy"))
        and math.isfinite(mean_of(group, "gap/accuracy"))
    ]
    return report_figures.scatter(points) if points else None


def curve_pictures(part: ReportedSection) -> list[tuple[str, list[Markup]]]:
    """Return label and learning curves, loss and accuracy, of the groups that have any."""
    drawn = [one for one in part.shown if any(curve.epochs for curve in one.curves.values())]
    limits = {
        quantity: report_figures.limits_of([one.curves for one in drawn], quantity)
        for quantity in QUANTITIES
    }
    found: list[tuple[str, list[Markup]]] = []
    for one in drawn:
        best = mean_of(one.group, "best_epoch")
        pictures = [
            report_figures.learning_curves(
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
    return report_figures.gap_limits(gaps)


def _source(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]
