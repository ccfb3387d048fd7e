"""The colours, letters and lines that all pictures share, in light, in dark and on a page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours of a picture.

    Attributes
    ----------
    ink, muted, rule, paper
        Of text, of axes and their names, of the grid, of the background.
    groups
        One for each of the first groups; every pair is told apart with any colour vision.
    other
        Of the groups after those.
    """

    ink: str
    muted: str
    rule: str
    paper: str
    groups: tuple[str, ...]
    other: str


# Okabe and Ito's colours, darkened where they had less than 3:1 against the paper.
LIGHT = Theme(
    ink="#1c2024",
    muted="#5c6670",
    rule="#e1e5ea",
    paper="#ffffff",
    groups=("#0072b2", "#c25200", "#00805e", "#b5588f", "#9a6a00", "#4f5b66"),
    other="#b4bcc4",
)
DARK = Theme(
    ink="#e6e9ec",
    muted="#9aa4ae",
    rule="#2c3238",
    paper="#14171a",
    groups=("#56b4e9", "#ff8f4a", "#2fc59a", "#e59ac6", "#f0c14b", "#c3ccd5"),
    other="#59636d",
)
# A page sets these itself, light or dark; see report.css.
PAGE = Theme(
    ink="var(--ink)",
    muted="var(--muted)",
    rule="var(--rule)",
    paper="var(--paper)",
    groups=tuple(f"var(--group-{i})" for i in range(1, len(LIGHT.groups) + 1)),
    other="var(--other)",
)
MOST_COLOURED = len(LIGHT.groups)
THEMES: Mapping[str, Theme] = {"light": LIGHT, "dark": DARK}
ThemeName = Literal["light", "dark"]


def variables(theme: Theme) -> str:
    """Return a theme as the CSS variables that `PAGE` names."""
    return " ".join(f"--{name}: {colour};" for name, colour in roles(theme).items())


def roles(theme: Theme) -> dict[str, str]:
    """Return a theme's colours by the names that charts have for them."""
    named = {name: getattr(theme, name) for name in ("ink", "muted", "rule", "paper", "other")}
    return named | {f"group-{i}": colour for i, colour in enumerate(theme.groups, start=1)}


# Where a specification says a colour; everywhere else "ink" may be the name of a group.
_COLOUR_KEYS = ("color", "fill", "stroke", "value", "range")


def with_colours(part: Any, roles: Mapping[str, str], *, key: str = "") -> Any:
    """Return a specification with colours where it names roles."""
    if isinstance(part, dict):
        return {
            name: value if name in ("values", "data") else with_colours(value, roles, key=name)
            for name, value in part.items()
        }
    if isinstance(part, list):
        return [with_colours(one, roles, key=key) for one in part]
    return roles.get(part, part) if isinstance(part, str) and key in _COLOUR_KEYS else part


def config(theme: Theme, *, font: str) -> dict[str, Any]:
    """Return Vega-Lite's settings of axes, legends and texts."""
    text = {"labelColor": theme.muted, "titleColor": theme.ink, "labelFontSize": 11}
    return {
        "font": font,
        "view": {"stroke": None},
        "axis": {
            **text,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "domainColor": theme.muted,
            "tickColor": theme.muted,
            "gridColor": theme.rule,
            "tickCount": 6,
        },
        "legend": {
            **text,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "symbolStrokeWidth": 2,
            "labelLimit": 320,
            "columns": 2,
        },
        "header": text,
        "title": {"color": theme.ink, "fontSize": 13, "fontWeight": 600},
        "text": {"color": theme.ink, "fontSize": 11},
    }
