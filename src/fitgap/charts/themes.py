"""The colours, letters and lines that all pictures share, in light, in dark and on a page."""

from collections.abc import Mapping
from typing import Any, Literal

# The colours of a picture by their roles, which charts name in place of colours: ink is of text,
# muted of axes and their names, rule of the grid, paper of the background, other of the groups
# after those that have a colour of their own.
Theme = Mapping[str, str]
# Okabe and Ito's colours, darkened where they had less than 3:1 against the paper; every pair of
# groups is told apart with any colour vision.
ROLES = (
    *("ink", "muted", "rule", "paper"),
    *("group-1", "group-2", "group-3", "group-4", "group-5", "group-6", "other"),
)
_LIGHT_COLOURS = (
    *("#1c2024", "#5c6670", "#e1e5ea", "#ffffff"),
    *("#0072b2", "#c25200", "#00805e", "#b5588f", "#9a6a00", "#4f5b66", "#b4bcc4"),
)
_DARK_COLOURS = (
    *("#e6e9ec", "#9aa4ae", "#2c3238", "#14171a"),
    *("#56b4e9", "#ff8f4a", "#2fc59a", "#e59ac6", "#f0c14b", "#c3ccd5", "#59636d"),
)
LIGHT: Theme = dict(zip(ROLES, _LIGHT_COLOURS, strict=True))
DARK: Theme = dict(zip(ROLES, _DARK_COLOURS, strict=True))
# A page sets these itself, light or dark; see report.css.
PAGE: Theme = {role: f"var(--{role})" for role in ROLES}
# Of a title, in units: its text can be a name of any length, and a picture grows with it.
MOST_TITLE = 1000
MOST_COLOURED = sum(role.startswith("group-") for role in ROLES)
THEMES: Mapping[str, Theme] = {"light": LIGHT, "dark": DARK}
ThemeName = Literal["light", "dark"]


def variables(theme: Theme) -> str:
    """Return a theme as the CSS variables that `PAGE` names."""
    return " ".join(f"--{role}: {colour};" for role, colour in theme.items())


# Where a specification says a colour; everywhere else "ink" may be the name of a group.
_COLOUR_KEYS = ("color", "fill", "stroke", "value", "range")


def with_colours(part: Any, theme: Theme, *, key: str = "") -> Any:
    """Return a specification with colours where it names roles."""
    if isinstance(part, dict):
        return {
            name: value if name == "datasets" else with_colours(value, theme, key=name)
            for name, value in part.items()
        }
    if isinstance(part, list):
        return [with_colours(one, theme, key=key) for one in part]
    return theme.get(part, part) if isinstance(part, str) and key in _COLOUR_KEYS else part


def config(theme: Theme, *, font: str) -> dict[str, Any]:
    """Return Vega-Lite's settings of axes, legends and texts."""
    text = {
        "labelColor": theme["muted"],
        "titleColor": theme["ink"],
        "labelFontSize": 11,
        "titleLimit": MOST_TITLE,
    }
    return {
        "font": font,
        "view": {"stroke": None},
        "axis": {
            **text,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "domainColor": theme["muted"],
            "tickColor": theme["muted"],
            "gridColor": theme["rule"],
            "tickCount": 6,
        },
        "legend": {
            **text,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "symbolStrokeWidth": 2,
            "symbolBaseFillColor": theme["ink"],  # of a legend of shapes; else black
            "labelLimit": 320,
            "columns": 2,
        },
        "header": text,
        "title": {"color": theme["ink"], "fontSize": 13, "fontWeight": 600, "limit": MOST_TITLE},
        "text": {"color": theme["ink"], "fontSize": 11},
    }
