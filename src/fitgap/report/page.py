"""A report as one HTML file that needs no network: template, style, script and pictures in it."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from markupsafe import Markup

from fitgap.charts import calibration, picture, predicted_images, predicted_numbers, themes
from fitgap.comparison.effects import RULE as EFFECTS_RULE
from fitgap.comparison.effects import Effect
from fitgap.comparison.estimates import Estimate
from fitgap.comparison.gap_curves import mean_of
from fitgap.comparison.groups import Group
from fitgap.comparison.images import image_interval
from fitgap.comparison.query import EVERYTHING, Query
from fitgap.comparison.significance import wilson
from fitgap.comparison.variance import RULE as VARIANCE_RULE
from fitgap.comparison.variance import in_words as variance_in_words
from fitgap.comparison.varying_settings import show_shortly
from fitgap.comparison.verdicts import NOT_CONVERGED, OVERFITTING, RULE, UNDERFITTING
from fitgap.evaluation.figures import DECIMALS, figure_text
from fitgap.report import (
    curve_charts,
    figures_by_part,
    gap_chart,
    interval_bars,
    page_pictures,
    page_style,
    variance_table,
)
from fitgap.report.claims import against_baseline, coverage, decision
from fitgap.report.content import (
    MOST_COMMANDS,
    MOST_FAILURES,
    Report,
    ReportedSection,
    report_on,
)
from fitgap.report.leaderboard import (
    BEST,
    EQUAL,
    FIT_SECONDS,
    TIE,
    UNTESTED,
    count_of,
    median_of,
)
from fitgap.report.selected_model import MOST_TESTED, SelectedModel

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
        As `fitgap.comparison.ranking.compare_experiment` takes them.

    Raises
    ------
    RequestError
        As that function does, and if the file cannot be written.
    """
    page_style.write(path, to_html(report_on(uri, experiment=experiment, query=query)))


def to_html(report: Report) -> str:
    """Return the whole page.

    Whatever comes from runs (names, tags, reasons) is escaped. Should something slip through all
    the same, the page's own policy lets a browser run no script but the page's and load nothing.
    """
    environment = page_style.environment()
    environment.filters |= {
        "figure": figure,
        "interval": interval,
        "p": p_value,
        "setting": show_shortly,
    }
    environment.globals |= {
        "against_baseline": against_baseline,
        "bar": interval_bars.bar,
        "confusions": confusions,
        "count_of": count_of,
        "coverage": coverage,
        "decision": decision,
        "effect_limits": effect_limits,
        "gap_limits": gap_limits,
        "image_interval": image_interval,
        "mean_or_median": mean_or_median,
        "next_step": next_step,
        "by_size": figures_by_part.by_size,
        "calibration_of": calibration_of,
        "errors_of_numbers": errors_of_numbers,
        "figures_of_classes": figures_by_part.of_classes,
        "figures_of_labels": figures_by_part.of_labels,
        "png_address": predicted_images.png_address,
        "variance_in_words": variance_in_words,
        "variance_rows": variance_table.rows,
        "wilson": wilson,
    }
    script = page_style.source(environment, "report.js")
    pictures = page_pictures.within(
        [
            page_pictures.of_section(part.section, part.histories, part.variances)
            for part in report.sections
        ]
    )
    interactive = any(picture.data for of_one in pictures for picture in of_one)
    return environment.get_template(TEMPLATE).render(
        report=report,
        rule=RULE,
        effects_rule=EFFECTS_RULE,
        variance_rule=VARIANCE_RULE,
        marks={"best": BEST, "equal": EQUAL, "tie": TIE, "untested": UNTESTED},
        most_tested=MOST_TESTED,
        most_points=gap_chart.MOST_POINTS,
        most_classes=MOST_CLASSES,
        most_commands=MOST_COMMANDS,
        most_curves=curve_charts.MOST_CURVES,
        hints=page_pictures.HINTS,
        pictures=pictures,
        vega=Markup(picture.scripts()) if interactive else "",  # noqa: S704 (vl-convert's)
        vega_digest=picture.digest_of(picture.scripts()) if interactive else "",
        most_failures=MOST_FAILURES,
        style=page_style.style(environment),
        script=Markup(script),  # noqa: S704 (a file of ours)
        script_digest=picture.digest_of(script),
    )


def figure(value: float | None, metric: str = "") -> str:
    """Return a number as the report writes it; seconds with two decimals, all else with four.

    Very large ones have an exponent, see `figure_text`.
    """
    if value is None or not math.isfinite(value):
        return ABSENT
    decimals = 2 if metric == FIT_SECONDS else DECIMALS
    sign = "+" if metric.startswith(("gap/", "test_gap/")) else ""
    return figure_text(value, decimals, sign=sign).replace("-", "−")


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


def errors_of_numbers(model: SelectedModel) -> list[tuple[Markup, Markup]]:
    """Return for each number what a model predicts against what is true, and its residuals."""
    if model.outputs is None or not model.outputs.are_numbers:
        return []
    titles = ("predicted against true, on the test set", "residuals, on the test set")
    return [
        (_inline(both[0], titles[0]), _inline(both[1], titles[1]))
        for both in predicted_numbers.draw(model.outputs)
    ]


def calibration_of(model: SelectedModel) -> Markup | None:
    """Return the picture of a model's calibration on the test set; None without predictions."""
    if model.predictions is None:
        return None
    return _inline(calibration.draw(model.predictions), "calibration, on the test set")


def _inline(drawn: picture.Picture, title: str) -> Markup:
    return page_pictures.inline(drawn.svg(themes.PAGE), title=title)


def next_step(part: ReportedSection) -> str:
    """Say what to do with the answer; empty if nothing follows from it."""
    if part.selected is None or part.selected.verdict is None:
        return ""
    word = part.selected.verdict.word
    if word == OVERFITTING:
        return (
            "its gap can be made smaller; fitgap sweep sweep=remedies tries what helps against "
            "overfitting, and fitgap learning-curve says what more data would be worth."
        )
    if word == NOT_CONVERGED:
        return "it had not finished learning: train it for more epochs (training.epochs)."
    if word == UNDERFITTING:
        return "more was to be learned: train it for more epochs, or use a larger network."
    if any(one.mark in (TIE, EQUAL) for one in part.shown[1:]):
        return ""  # what would tell them apart is said beside
    return "look at its errors below; fitgap register makes it a version that MLflow can serve."


def gap_limits(part: ReportedSection) -> tuple[float, float]:
    """Return the scale on which the gaps of a section are drawn."""
    name = f"gap/{part.section.metric}"
    gaps: Sequence[Estimate] = [
        one.group.metrics[name] for one in part.shown if math.isfinite(mean_of(one.group, name))
    ]
    return interval_bars.limits_with_zero(gaps)


def effect_limits(effects: Sequence[Effect]) -> tuple[float, float]:
    """Return the scale on which the effects on one metric are drawn."""
    levels = [level.deviation for effect in effects for level in effect.levels]
    return interval_bars.limits_with_zero(levels)
