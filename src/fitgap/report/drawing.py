"""How every picture is drawn: a Vega-Lite chart, in light, dark or a page's colours, to a file.

The charts themselves are made elsewhere (`fitgap.report.comparison_charts`); here are their hand
(colours, fonts, sizes) and the ways out: SVG, PNG, PDF and an interactive page of its own. Nothing
here needs a browser or the network.
"""

import functools
import html
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from fitgap.errors import RequestError

FORMATS = ("svg", "png", "pdf", "html")
DPI = 200
FONT = "system-ui, 'Noto Sans', 'Noto Sans CJK KR', 'Apple SD Gothic Neo', sans-serif"
# The fonts inside a picture of pixels have to be named, and be there.
FILE_FONT = "Noto Sans, DejaVu Sans, Liberation Sans, Arial, sans-serif"


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


@dataclass(frozen=True)
class Picture:
    """A chart that can be looked at in a notebook or written as a file.

    Attributes
    ----------
    chart
        An `altair` chart that names colours by their role (``"ink"``, ``"group-1"``).
    title
        Said above it, and to screen readers; empty for none.
    """

    chart: Any
    title: str = ""

    def spec(self, theme: Theme = LIGHT, *, font: str = FILE_FONT) -> dict[str, Any]:
        """Return the chart as Vega-Lite's JSON, in a theme's colours."""
        spec: dict[str, Any] = self.chart.to_dict(validate=False)
        spec["config"] = _config(theme, font=font)
        spec["background"] = theme.paper
        spec["padding"] = 6
        if self.title:
            spec["title"] = {"text": self.title, "anchor": "start", "frame": "bounds"}
        coloured: dict[str, Any] = _with_colours(spec, _roles(theme))
        return coloured

    def svg(self, theme: Theme = LIGHT, *, font: str = FONT) -> str:
        """Return the picture as SVG, whose letters are the reader's fonts."""
        import vl_convert

        return str(vl_convert.vegalite_to_svg(self.spec(theme, font=font)))

    def png(self, theme: Theme = LIGHT, *, dpi: int = DPI) -> bytes:
        """Return the picture as PNG; a unit of the chart is 1/96 inch."""
        import vl_convert

        spec = self.spec(theme)
        _warn_of_missing_letters(spec)
        return bytes(vl_convert.vegalite_to_png(spec, scale=dpi / 96, ppi=96))

    def pdf(self, theme: Theme = LIGHT) -> bytes:
        """Return the picture as PDF."""
        import vl_convert

        spec = self.spec(theme)
        _warn_of_missing_letters(spec)
        return bytes(vl_convert.vegalite_to_pdf(spec))

    def html(self) -> str:
        """Return a page of its own: hover, zoom, hide groups; light or dark as the reader has it.

        Its scripts are inside, so that it needs no network.
        """
        spec = json.dumps(self.spec(PAGE, font=FONT), ensure_ascii=False).replace("</", "<\\/")
        style = f":root {{ color-scheme: light dark; {variables(LIGHT)} }}"
        style += f"@media (prefers-color-scheme: dark) {{ :root {{ {variables(DARK)} }} }}"
        style += "@media print { :root { color-scheme: light; " + variables(LIGHT) + " } }"
        style += "body { margin: 1rem; background: var(--paper); color: var(--ink); }"
        return (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{html.escape(self.title or 'fitgap')}</title><style>{style}</style>"
            f'</head><body><div id="picture"></div><script>{scripts()}</script><script>'
            f'vegaEmbed("#picture", {spec}, {{renderer: "svg", ast: true, actions: false}});'
            f"</script></body></html>\n"
        )

    def save(
        self, path: str | Path, *, theme: ThemeName = "light", dpi: int = DPI, title: str = ""
    ) -> Path:
        """Write the picture as a file, and return its path.

        Parameters
        ----------
        path
            Ends in .svg, .png, .pdf or .html; its folder is made.
        theme
            Of a file; a page follows its reader's.
        dpi
            Of a PNG, at the size of a printed page.
        title
            Instead of the picture's own.

        Raises
        ------
        RequestError
            If the ending is another, or the file cannot be written.
        """
        path = Path(path)
        kind = path.suffix.lower().removeprefix(".")
        if kind not in FORMATS:
            allowed = ", ".join(f".{name}" for name in FORMATS)
            raise RequestError(f"the picture's file must end in {allowed}, got {str(path)!r}")
        drawn = replace(self, title=title) if title else self
        colours = THEMES[theme]
        content: str | bytes
        if kind == "html":
            content = drawn.html()
        elif kind == "svg":
            content = drawn.svg(colours)
        else:
            content = drawn.png(colours, dpi=dpi) if kind == "png" else drawn.pdf(colours)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        except OSError as error:
            raise RequestError(f"{path} cannot be written: {error.strerror}") from error
        return path

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"image/svg+xml": self.svg(), "text/plain": self.title or "a picture"}


def epoch_axis(first: int, last: int) -> Any:
    """Return an axis of whole epochs: each of a few, else about eight round ones."""
    import altair as alt

    if last - first < 12:
        return alt.Axis(format="d", values=list(range(first, last + 1)))
    return alt.Axis(format="d", tickMinStep=1, tickCount=8)


def variables(theme: Theme) -> str:
    """Return a theme as the CSS variables that `PAGE` names."""
    plain = {name: getattr(theme, name) for name in ("ink", "muted", "rule", "paper", "other")}
    coloured = {f"group-{i}": colour for i, colour in enumerate(theme.groups, start=1)}
    return " ".join(f"--{name}: {value};" for name, value in (plain | coloured).items())


_SNIPPET = "window.vegaEmbed = vegaEmbed;"


@functools.cache
def scripts() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script of about a megabyte."""
    import vl_convert

    return str(vl_convert.javascript_bundle(_SNIPPET)).replace("</script", "<\\/script")


def _roles(theme: Theme) -> dict[str, str]:
    named = {name: getattr(theme, name) for name in ("ink", "muted", "rule", "paper", "other")}
    return named | {f"group-{i}": colour for i, colour in enumerate(theme.groups, start=1)}


# Where a specification says a colour; everywhere else "ink" may be the name of a group.
_COLOUR_KEYS = ("color", "fill", "stroke", "value", "range")


def _with_colours(part: Any, roles: Mapping[str, str], *, key: str = "") -> Any:
    if isinstance(part, dict):
        return {
            name: value if name in ("values", "data") else _with_colours(value, roles, key=name)
            for name, value in part.items()
        }
    if isinstance(part, list):
        return [_with_colours(one, roles, key=key) for one in part]
    return roles.get(part, part) if isinstance(part, str) and key in _COLOUR_KEYS else part


def _config(theme: Theme, *, font: str) -> dict[str, Any]:
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


_told: set[str] = set()


def _warn_of_missing_letters(spec: Mapping[str, Any]) -> None:
    """Say once that no installed font has some of a picture's letters.

    Looked for among the fonts that are installed now, and only if there is a letter that the
    usual ones do not have.
    """
    letters = {letter for text in _texts(spec) for letter in text if ord(letter) >= 0x1100}
    letters -= _told
    if not letters or not (missing := _without_font(letters)):
        return
    _told.update(missing)
    shown = "".join(sorted(missing)[:12])
    print(
        f"warning: no installed font has {shown}; the picture shows boxes instead. Install one "
        "(fonts-noto-cjk has Chinese, Japanese and Korean), or write an .svg or .html file, which "
        "uses its reader's fonts.",
        file=sys.stderr,
    )


def _without_font(letters: set[str]) -> set[str]:
    from matplotlib import font_manager, ft2font

    missing = set(letters)
    for path in font_manager.findSystemFonts():
        try:
            missing -= {chr(code) for code in ft2font.FT2Font(path).get_charmap()}
        except (OSError, RuntimeError):  # not a font after all
            continue
        if not missing:
            break
    return missing


def _texts(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, Mapping):
        for value in part.values():
            yield from _texts(value)
    elif isinstance(part, list):
        for value in part:
            yield from _texts(value)
