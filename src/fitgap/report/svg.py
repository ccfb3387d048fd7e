"""Axes and a plotting area as SVG; what is drawn into them is `fitgap.report.charts`."""

import math
from collections.abc import Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement, tostring

from markupsafe import Markup

LEFT, RIGHT, TOP, BOTTOM = 50.0, 10.0, 10.0, 40.0  # around the plotting area

Range = tuple[float, float]


class Place(NamedTuple):
    """A position in the plotting area, from its upper left."""

    x: float
    y: float


class Box(NamedTuple):
    """The edges of a text in the plotting area."""

    left: float
    top: float
    right: float
    bottom: float


class Plot:
    """A plotting area with axes, into which values are drawn.

    Parameters
    ----------
    label
        What a screen reader says of it.
    x, y
        The ranges of values shown; what lies outside is cut off.
    """

    def __init__(
        self, label: str, *, size: tuple[float, float], x: Range, y: Range, names: tuple[str, str]
    ) -> None:
        width, height = size
        self._x, self._y = x, y
        self._written: list[Box] = []
        self._width, self._height = width - LEFT - RIGHT, height - TOP - BOTTOM
        self.root = Element(
            "svg",
            {"class": "plot", "viewBox": f"0 0 {width:g} {height:g}", "role": "img"},
        )
        self.root.set("aria-label", label)
        self._draw_axes(names, size=size)
        # A nested picture cuts off what leaves it, without an id that had to be unique in a page.
        self.area = draw(self.root, "svg", x=LEFT, y=TOP, width=self._width, height=self._height)

    def place(self, x: float, y: float) -> Place:
        """Return where a value lies in the plotting area."""
        (x_low, x_high), (y_low, y_high) = self._x, self._y
        return Place(
            (x - x_low) / (x_high - x_low) * self._width,
            (y_high - y) / (y_high - y_low) * self._height,
        )

    def line(self, points: Sequence[tuple[float, float]], css: str) -> None:
        """Join values by a line."""
        SubElement(self.area, "polyline", {"class": css, "points": self._path(points)})

    def polygon(self, points: Sequence[tuple[float, float]], css: str) -> None:
        """Fill the area around which values lie."""
        SubElement(self.area, "polygon", {"class": css, "points": self._path(points)})

    def text(self, text: str, at: Place) -> None:
        """Write beside a point, on the first side with room: not outside, nor over another text.

        To the right above it where no side has.
        """
        sides = [(dx, dy) for dx in (8, -8) for dy in (-6, 14)]
        boxes = [self._box(text, Place(at.x + dx, at.y + dy), leftwards=dx < 0) for dx, dy in sides]
        free = [i for i, box in enumerate(boxes) if self._is_free(box)]
        chosen = free[0] if free else 0
        dx, dy = sides[chosen]
        self._written.append(boxes[chosen])
        css = "number before" if dx < 0 else "number"
        _write(self.area, text, x=at.x + dx, y=at.y + dy, css=css)

    def _box(self, text: str, at: Place, *, leftwards: bool) -> Box:
        width, height = 8.0 * len(text), 12.0  # as large as the style sheet makes them, about
        left = at.x - width if leftwards else at.x
        return Box(left, at.y - height, left + width, at.y)

    def _is_free(self, box: Box) -> bool:
        if box.left < 0 or box.right > self._width or box.top < 0 or box.bottom > self._height:
            return False
        return not any(
            box.left < other.right
            and other.left < box.right
            and box.top < other.bottom
            and other.top < box.bottom
            for other in self._written
        )

    def svg(self) -> Markup:
        """Return the picture for a page."""
        return markup(self.root)

    def _path(self, points: Sequence[tuple[float, float]]) -> str:
        places = (self.place(*point) for point in points)
        return " ".join(f"{coordinate(x)},{coordinate(y)}" for x, y in places)

    def _draw_axes(self, names: tuple[str, str], *, size: tuple[float, float]) -> None:
        axes = SubElement(self.root, "g", {"class": "axes"})
        bottom, end = TOP + self._height, size[0] - RIGHT
        for value, text in ticks(self._x):
            x = LEFT + self.place(value, self._y[0]).x
            draw(axes, "line", x1=x, x2=x, y1=bottom, y2=bottom + 4)
            _write(axes, text, x=x, y=bottom + 17, css="below")
        for value, text in ticks(self._y):
            y = TOP + self.place(self._x[0], value).y
            draw(axes, "line", "grid", x1=LEFT, x2=end, y1=y, y2=y)
            _write(axes, text, x=LEFT - 5, y=y + 4, css="left")
        draw(axes, "line", x1=LEFT, x2=end, y1=bottom, y2=bottom)
        x_name, y_name = names
        _write(axes, x_name, x=LEFT + self._width / 2, y=size[1] - 6, css="below")
        turned = _write(axes, y_name, x=0, y=0, css="below")
        turned.set("transform", f"translate(12 {coordinate(TOP + self._height / 2)}) rotate(-90)")


def ticks(limits: Range, *, about: int = 5) -> list[tuple[float, str]]:
    """Return round values within a range and how they are written.

    >>> ticks((0.0, 1.0), about=2)
    [(0.0, '0.0'), (0.5, '0.5'), (1.0, '1.0')]
    """
    low, high = limits
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step for step in (power, 2 * power, 5 * power, 10 * power) if step >= rough * 0.999)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    first = math.ceil(low / step - 1e-9)
    values = [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]
    return [(value, f"{value:.{decimals}f}".replace("-", "−")) for value in values]


def draw(parent: Element, tag: str, css: str = "", **attributes: float) -> Element:
    """Add an element with a class and numbers as its attributes, and return it."""
    element = SubElement(parent, tag, {"class": css} if css else {})
    element.attrib |= {name: coordinate(value) for name, value in attributes.items()}
    return element


def _write(parent: Element, text: str, *, x: float, y: float, css: str) -> Element:
    element = draw(parent, "text", css, x=x, y=y)
    element.text = text
    return element


def coordinate(value: float) -> str:
    """Return a number as an attribute of SVG."""
    return f"{value:.1f}"


def markup(root: Element) -> Markup:
    """Return an element for a page; all its text and attributes are escaped."""
    return Markup(tostring(root, encoding="unicode"))  # noqa: S704
