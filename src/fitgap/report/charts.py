"""Pictures of a report, as SVG that takes its colours and fonts from the page around it.

Made by hand rather than by matplotlib: these are lines and dots, whose labels have to be the
reader's fonts (any language), whose colours follow light and dark, and which show figures under
the pointer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement

from markupsafe import Markup

from fitgap.comparison.estimates import Estimate
from fitgap.comparison.verdicts import Curve
from fitgap.report.svg import Plot, Range, coordinate, draw, markup

# In the units of a picture; a page scales it to its width, so that text stays readable on a phone
# only in a narrow one.
WIDTH, HEIGHT = 440.0, 320.0
CURVE_WIDTH, CURVE_HEIGHT = 340.0, 230.0
BAR_WIDTH, BAR_HEIGHT = 160.0, 18.0
MOST_INTERVALS = 40  # points with crosses; more of them hide each other
MOST_DOTS = 12  # epochs
MOST_NUMBERED = 12  # points with their rank beside them


@dataclass(frozen=True, slots=True)
class Point:
    """A group in the scatter: its figures, its rank in the leaderboard, what to call it."""

    accuracy: Estimate
    gap: Estimate
    rank: int | None
    label: str
    on_front: bool


def scatter(points: Sequence[Point]) -> Markup:
    """Draw validation accuracy against the gap, a dot per group, the Pareto front joined.

    Parameters
    ----------
    points
        At least one, all finite.
    """
    with_intervals = len(points) <= MOST_INTERVALS
    plot = Plot(
        f"Validation accuracy against the gap of {len(points)} groups",
        size=(WIDTH, HEIGHT),
        x=_range(points, "gap", with_intervals=with_intervals),
        y=_range(points, "accuracy", with_intervals=with_intervals),
        names=("gap/accuracy (training − validation)", "val/accuracy"),
    )
    front = sorted((p.gap.mean, p.accuracy.mean) for p in points if p.on_front)
    plot.line(front, "front-line")
    # The best last, so that they lie on top.
    for i, point in sorted(enumerate(points), reverse=True):
        gap, accuracy = point.gap.mean, point.accuracy.mean
        group = SubElement(plot.area, "g", {"class": "front" if point.on_front else "point"})
        SubElement(group, "title").text = _hover(point)
        if with_intervals:
            for low, high in (
                ((_low(point.gap), accuracy), (_high(point.gap), accuracy)),
                ((gap, _low(point.accuracy)), (gap, _high(point.accuracy))),
            ):
                start, end = plot.place(*low), plot.place(*high)
                draw(group, "line", x1=start.x, y1=start.y, x2=end.x, y2=end.y)
        at = plot.place(gap, accuracy)
        if point.on_front:
            corners = [(at.x, at.y - 6), (at.x + 6, at.y), (at.x, at.y + 6), (at.x - 6, at.y)]
            diamond = " ".join(f"{coordinate(x)},{coordinate(y)}" for x, y in corners)
            SubElement(group, "polygon", points=diamond)
        else:
            draw(group, "circle", cx=at.x, cy=at.y, r=4)
        if point.rank is not None and i < MOST_NUMBERED:
            plot.text(str(point.rank), at)
    return plot.svg()


def learning_curves(
    curves: Mapping[str, Curve],
    *,
    quantity: str,
    label: str,
    limits: Range,
    best_epoch: float | None = None,
) -> Markup:
    """Draw training and validation by epoch, bands over the seeds, the gap shaded.

    Parameters
    ----------
    curves
        By metric; those of the quantity are drawn, as far as they have epochs.
    quantity
        ``loss`` or ``accuracy``.
    label
        Of the group.
    limits
        Of the vertical axis: the same for all groups that are to be compared.
    best_epoch
        Where a dotted line marks the lowest validation loss.
    """
    drawn = {part: curves.get(f"{part}/{quantity}") for part in ("train", "val")}
    present = {part: curve for part, curve in drawn.items() if curve and curve.epochs}
    last = max((curve.epochs[-1] for curve in present.values()), default=1)
    plot = Plot(
        f"{quantity} by epoch, {label}",
        size=(CURVE_WIDTH, CURVE_HEIGHT),
        x=(1, last) if last > 1 else (0.5, 1.5),
        y=limits,
        names=("epoch", quantity),
    )
    for part, curve in present.items():
        around = [*zip(curve.epochs, curve.high, strict=True)]
        around += reversed([*zip(curve.epochs, curve.low, strict=True)])
        plot.polygon(around, f"band {part}")
    if len(present) == 2:
        train, val = (dict(zip(c.epochs, c.mean, strict=True)) for c in present.values())
        both = sorted(train.keys() & val.keys())
        plot.polygon([(e, train[e]) for e in both] + [(e, val[e]) for e in both[::-1]], "gap")
    if best_epoch is not None and best_epoch <= last:
        plot.line([(best_epoch, limits[0]), (best_epoch, limits[1])], "lowest")
    for part, curve in present.items():
        points = [*zip(curve.epochs, curve.mean, strict=True)]
        plot.line(points, f"curve {part}")
        for epoch, mean, low, high in zip(
            curve.epochs, curve.mean, curve.low, curve.high, strict=True
        ):
            at = plot.place(epoch, mean)
            # Few epochs are shown as dots; of many, only the one under the pointer is.
            css = f"dot {part}" + ("" if len(points) <= MOST_DOTS else " faint")
            dot = draw(plot.area, "circle", css, cx=at.x, cy=at.y, r=3)
            name = "training" if part == "train" else "validation"
            text = f"{name}, epoch {epoch}: {mean:.4f} ({low:.4f} to {high:.4f} over seeds)"
            SubElement(dot, "title").text = text
    return plot.svg()


def limits_of(curves: Sequence[Mapping[str, Curve]], quantity: str) -> Range:
    """Return the vertical range in which the later epochs of all groups lie.

    The first fifth of the epochs is left out where there are five or more: an untrained
    network's loss would press everything else flat.
    """
    values: list[float] = []
    for by_metric in curves:
        for part in ("train", "val"):
            curve = by_metric.get(f"{part}/{quantity}")
            if curve is not None:
                start = len(curve.epochs) // 5
                values += [*curve.low[start:], *curve.high[start:]]
    return _padded(min(values), max(values)) if values else (0.0, 1.0)


def bar(found: Estimate, *, limits: Range, name: str) -> Markup:
    """Draw a figure and its interval on a scale that all rows of a table share.

    Parameters
    ----------
    found
        Finite.
    limits
        Of the scale; zero is marked.
    name
        Of the figure, for the pointer and for screen readers.
    """
    root = Element(
        "svg", {"class": "bar", "viewBox": f"0 0 {BAR_WIDTH:g} {BAR_HEIGHT:g}", "role": "img"}
    )
    root.set("aria-label", f"{name} {found.mean:+.4f}")
    SubElement(root, "title").text = f"{name} {_with_interval(found)}"
    zero, mean, low, high = (
        (value - limits[0]) / (limits[1] - limits[0]) * BAR_WIDTH
        for value in (0.0, found.mean, _low(found), _high(found))
    )
    middle = BAR_HEIGHT / 2
    draw(root, "line", "zero", x1=zero, x2=zero, y1=0, y2=BAR_HEIGHT)
    draw(root, "line", x1=low, x2=high, y1=middle, y2=middle)
    draw(root, "circle", cx=mean, cy=middle, r=4)
    return markup(root)


def limits_with_zero(found: Sequence[Estimate]) -> Range:
    """Return the range that holds zero and all figures with their intervals."""
    return _padded(min([0.0, *map(_low, found)]), max([0.0, *map(_high, found)]))


def _range(points: Sequence[Point], name: str, *, with_intervals: bool) -> Range:
    found: list[Estimate] = [getattr(point, name) for point in points]
    means = [one.mean for one in found]
    if not with_intervals:
        return _padded(min(means), max(means))
    return _padded(min(map(_low, found)), max(map(_high, found)))


def _padded(low: float, high: float) -> Range:
    # Equal values still need a range to be drawn in.
    margin = (high - low) * 0.06 or max(abs(high) * 0.01, 1e-6)
    return low - margin, high + margin


def _low(found: Estimate) -> float:
    return found.mean if found.low is None else found.low


def _high(found: Estimate) -> float:
    return found.mean if found.high is None else found.high


def _hover(point: Point) -> str:
    rank = "" if point.rank is None else f"#{point.rank} "
    accuracy, gap = _with_interval(point.accuracy), _with_interval(point.gap)
    return f"{rank}{point.label}\nval/accuracy {accuracy}\ngap/accuracy {gap}, n = {point.gap.n}"


def _with_interval(found: Estimate) -> str:
    if found.low is None or found.high is None:
        return f"{found.mean:.4f}"
    return f"{found.mean:.4f} [{found.low:.4f}, {found.high:.4f}]"
