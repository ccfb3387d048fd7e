"""The small pictures in a table's cells: a figure and its interval on a scale of all rows.

Made by hand rather than as charts: there is one in every row, and each is three marks.
"""

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, tostring

from markupsafe import Markup

from fitgap.charts.scales import padded
from fitgap.comparison.estimates import Estimate

Range = tuple[float, float]

BAR_WIDTH, BAR_HEIGHT = 160.0, 18.0  # in the units of the picture; the page says how large that is


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
    SubElement(root, "title").text = f"{name} {found.with_interval()}"
    zero, mean, low, high = (
        (value - limits[0]) / (limits[1] - limits[0]) * BAR_WIDTH
        for value in (0.0, found.mean, *found.bounds)
    )
    middle = BAR_HEIGHT / 2
    _draw(root, "line", "zero", x1=zero, x2=zero, y1=0, y2=BAR_HEIGHT)
    _draw(root, "line", x1=low, x2=high, y1=middle, y2=middle)
    _draw(root, "circle", cx=mean, cy=middle, r=4)
    return Markup(tostring(root, encoding="unicode"))  # noqa: S704 (escapes what it writes)


def limits_with_zero(found: Sequence[Estimate]) -> Range:
    """Return the range that holds zero and all figures with their intervals."""
    return padded([0.0, *(bound for one in found for bound in one.bounds)])


def _draw(parent: Element, tag: str, css: str = "", **attributes: float) -> None:
    element = SubElement(parent, tag, {"class": css} if css else {})
    element.attrib |= {name: f"{value:.1f}" for name, value in attributes.items()}
