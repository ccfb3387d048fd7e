"""What a learning curve says about more data, as sentences and as Markdown."""

from fitgap.comparison.estimates import SPLITS, Estimate
from fitgap.comparison.learning_curve import Curve, Forecast, columns_of
from fitgap.evaluation.figures import figure_text, with_half_width
from fitgap.store.recorded_metrics import KnownMetric
from fitgap.trust import text_tables
from fitgap.trust.text import markdown


def in_words(found: Curve, forecast: Forecast) -> list[str]:
    """Return the answer in sentences.

    Parameters
    ----------
    found
        The learning curve as measured.
    forecast
        What twice the data would bring.
    """
    last, name = found.points[-1], f"val/{found.metric.name}"
    sentences = []
    if forecast.gain is not None and forecast.law is not None:
        gain, now = forecast.gain, float(forecast.law.error(last.samples))
        sentences.append(
            f"Twice the data ({2 * last.samples:,} training samples instead of {last.samples:,}) "
            f"would bring {name} from {figure_text(float(found.figure(now)))} to about "
            f"{figure_text(float(found.figure(now - gain.mean)))}: {_change(gain)} "
            f"(95 % interval of the gain: {_bounds(gain)})."
        )
        if gain.low is not None and gain.low <= 0:
            sentences.append("The interval contains zero: more data may bring nothing.")
    else:
        sentences.append(f"What twice the data would bring cannot be predicted: {forecast.doubt}.")
    if forecast.gain is not None:
        over = (
            f"The law is fitted to each of {found.splits} splits, and the interval is over them, "
            "for data like these. "
            if found.splits > 1
            else ""
        )
        sentences.append(
            f"{over}The interval holds for curves that continue as a power law, with or without a "
            "floor; it does not foresee a curve that bends in another way."
        )
    if forecast.law is not None:
        law = forecast.law
        floor = f"{law.floor:.4g} + " if len(law.covariance) == 3 else ""
        sentences.append(
            f"Power law: {_of_error(found.metric)} = {floor}{law.factor:.3g} · "
            f"n^-{law.exponent:.3f}, fitted to "
            f"{sum(point.samples >= forecast.first for point in found.points)} sizes from "
            f"{forecast.first:,} samples on, scatter {100 * law.scatter:.1f} %."
        )
    if forecast.last_doubling is not None:
        small, large, gain = forecast.last_doubling
        interval = (
            f" (95 % interval of the gain: {_bounds(gain)}, paired over "
            + (f"{found.splits} splits)" if gain.covers == SPLITS else f"{gain.n} seeds)")
            if gain.low is not None and gain.high is not None
            else (" (one seed)" if gain.n == 1 else " (the same for every seed: no interval)")
        )
        sentences.append(
            f"Measured: from {small:,} to {large:,} samples {name} became "
            f"{_change(gain)}{interval}."
        )
    return sentences


def _change(gain: Estimate) -> str:
    return f"{'worse' if gain.mean < 0 else 'better'} by {figure_text(abs(gain.mean))}"


def _bounds(gain: Estimate) -> str:
    return " to ".join(
        figure_text(one, sign="+") for one in (gain.low, gain.high) if one is not None
    )


def _of_error(metric: KnownMetric) -> str:
    """Return the name of what a power law describes: a figure's distance from its best value."""
    name, best = f"val/{metric.name}", metric.best or 0.0
    if metric.direction > 0:
        return f"{best:g} - {name}"
    return f"{name} - {best:g}" if best else name


def to_markdown(found: Curve, forecast: Forecast, *, title: str, missing: int) -> str:
    """Return the figures by number of samples, and what follows from them, as Markdown.

    Parameters
    ----------
    found
        The learning curve as measured.
    forecast
        What twice the data would bring.
    title
        Of the page.
    missing
        How many runs of the sweep have not finished.
    """
    columns = columns_of(found.metric)
    header = ("training samples", *columns, "n")
    rows = []
    for point in found.points:
        scores = [point.scores[name] for name in columns]
        figures = [with_half_width(one.mean, one.half_width) for one in scores]
        rows.append([f"{point.samples:,}", *figures, str(len(point.errors))])
    table = text_tables.to_markdown(header, rows, align="r" * len(header))
    sentences = [*in_words(found, forecast), "", *notes(found, missing=missing)]
    return "\n".join([f"## {markdown(title)}", "", table, *map(markdown, sentences), ""])


def notes(found: Curve, *, missing: int) -> list[str]:
    """Return what a reader must know about the figures.

    Parameters
    ----------
    found
        The learning curve as measured.
    missing
        How many runs of the sweep have not finished.
    """
    sentences = [
        "Figures: mean ± half the width of its 95 % interval (Student's t) over n seeds. All sizes "
        "share the validation samples, and each smaller training set is part of every larger one; "
        "the seeds draw initial weights and batch order, not the samples, so that other samples "
        "(split.seed) may give a somewhat other curve."
        if found.splits == 1
        else "Figures: mean ± half the width of its 95 % interval over splits, seeds averaged "
        "within each, corrected for training sets that overlap (Nadeau and Bengio). Within a split "
        "all sizes share the validation samples, and each smaller training set is part of every "
        "larger one."
    ]
    if missing:
        sentences.append(f"Runs of the sweep that have not finished and do not count: {missing}.")
    return sentences
