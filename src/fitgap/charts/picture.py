"""A picture: a Vega-Lite chart in light, dark or a page's colours, and its ways out to files.

The charts themselves are made by the other modules of this room and by `fitgap.report`; SVG, PNG,
PDF and a separate interactive page need neither a browser nor the network.
"""

import base64
import contextlib
import functools
import hashlib
import html
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

from fitgap import memory
from fitgap.charts import labels
from fitgap.charts.fonts import FONT, drawable, font_of, warn_of_missing_letters
from fitgap.charts.themes import (
    DARK,
    LIGHT,
    MOST_TITLE,
    PAGE,
    THEMES,
    Theme,
    ThemeName,
    config,
    variables,
    with_colours,
)
from fitgap.config import project
from fitgap.errors import RequestError

FORMATS = ("svg", "png", "pdf", "html")
DPI = 200
_LETTERS = int(MOST_TITLE / labels.CHARACTER)  # of a title: what draws takes long to cut one
# That the engine of vl-convert takes when it starts, as measured on Linux.
_ADDRESSES = 70 * 10**9
# Of pixels and PDF: Noto Sans has no minus sign, for which a font with serifs would be taken.
_NUMBERS = {
    "decimal": ".", "thousands": ",", "grouping": [3], "currency": ["$", ""], "minus": "-",
}  # fmt: skip


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

    def spec(self, theme: Theme = LIGHT, *, font: str = "") -> dict[str, Any]:
        """Return the chart as Vega-Lite's JSON, in a theme's colours.

        Parameters
        ----------
        theme
            Of its colours.
        font
            Of its texts; none: what a picture of pixels needs to write them.
        """
        spec: dict[str, Any] = self.chart.to_dict(validate=False)
        spec["config"] = config(theme, font=font or font_of({"title": self.title} | spec))
        spec["background"] = theme["paper"]
        spec["padding"] = 6
        if self.title:
            spec["title"] = {
                "text": labels.shortened(self.title, most=_LETTERS),
                "anchor": "start",
                "frame": "bounds",
            }
        coloured: dict[str, Any] = _with_safe_titles(drawable(with_colours(spec, theme)))
        return coloured

    def svg(self, theme: Theme = LIGHT) -> str:
        """Return the picture as SVG, whose texts use the reader's fonts."""
        return svg_of(self.spec(theme, font=FONT))

    def png(self, theme: Theme = LIGHT, *, dpi: int = DPI) -> bytes:
        """Return the picture as PNG; a unit of the chart is 1/96 inch."""
        vega = _vega()
        spec = self.spec(theme)
        warn_of_missing_letters(spec)
        return bytes(vega.vegalite_to_png(spec, scale=dpi / 96, ppi=96, format_locale=_NUMBERS))

    def pdf(self, theme: Theme = LIGHT) -> bytes:
        """Return the picture as PDF."""
        vega = _vega()
        spec = self.spec(theme)
        warn_of_missing_letters(spec)
        return bytes(vega.vegalite_to_pdf(spec, format_locale=_NUMBERS))

    def html(self) -> str:
        """Return a separate page: hover, zoom, hide groups; light or dark as the system is.

        Its scripts are inside, so that it needs no network; its own policy lets a browser run no
        others and load nothing, whatever the names in it are taken for.
        """
        spec = json.dumps(self.spec(PAGE, font=FONT), ensure_ascii=False).replace("<", "\\u003c")
        style = f":root {{ color-scheme: light dark; {variables(LIGHT)} }}"
        style += f"@media (prefers-color-scheme: dark) {{ :root {{ {variables(DARK)} }} }}"
        style += "@media print { :root { color-scheme: light; " + variables(LIGHT) + " } }"
        style += "body { margin: 1rem; background: var(--paper); color: var(--ink); }"
        drawing = f'vegaEmbed("#picture", {spec}, {{renderer: "svg", ast: true, actions: false}});'
        allowed = " ".join(f"'sha256-{digest_of(script)}'" for script in (scripts(), drawing))
        policy = (
            "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src " + allowed
        )
        return (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{html.escape(self.title or 'fitgap')}</title><style>{style}</style>"
            f'</head><body><div id="picture"></div><script>{scripts()}</script>'
            f"<script>{drawing}</script></body></html>\n"
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


def digest_of(script: str) -> str:
    """Return the digest by which a page's policy lets a browser run a script."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _with_safe_titles(part: Any) -> Any:
    r"""Return a specification whose titles Vega-Lite can write into its expressions.

    It does so for tooltips and screen readers, and escapes the quotes of a title, but no backslash
    and no line break: a name that ends in a backslash would end the expression's text too.
    """
    if isinstance(part, Mapping):
        return {
            name: value
            if name == "datasets"
            else _safe_title(value)
            if name == "title"
            else _with_safe_titles(value)
            for name, value in part.items()
        }
    if isinstance(part, list):
        return [_with_safe_titles(one) for one in part]
    return part


def _safe_title(title: Any) -> Any:
    if isinstance(title, str):
        title = labels.shortened(title, most=_LETTERS)
        return title.replace("\\", "\\\\").replace("\n", "\\n")
    return [_safe_title(one) for one in title] if isinstance(title, list) else title


def svg_of(spec: dict[str, Any]) -> str:
    """Return what a specification draws, as SVG.

    Parameters
    ----------
    spec
        Of Vega-Lite, such as `Picture.spec` returns.
    """
    return str(_vega().vegalite_to_svg(spec))


@functools.cache
def _vega() -> ModuleType:
    """Return what draws, if its engine can have the addresses that it takes when it starts.

    It would otherwise end the whole process, with whatever this has not recorded yet.
    """
    import psutil
    import vl_convert

    allowed = memory.limit()
    if allowed is not None and allowed - psutil.Process().memory_info().vms < _ADDRESSES:
        raise RequestError(
            f"pictures need {_ADDRESSES / 1e9:.0f} GB of addresses, not of memory, and 'ulimit -v' "
            f"allows this process {allowed / 1e9:.1f} GB"
        )
    module: ModuleType = vl_convert
    return module


_SNIPPET = "window.vegaEmbed = vegaEmbed;"


@functools.cache
def scripts() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script of about a megabyte.

    Bundling them takes more than a second, so the project folder keeps them.
    """
    kept = project.state_folder() / f"vega-{version('vl-convert-python')}.js"
    with contextlib.suppress(OSError, UnicodeError):
        return kept.read_text(encoding="utf-8")
    script = str(_vega().javascript_bundle(_SNIPPET)).replace("</script", "<\\/script")
    with contextlib.suppress(OSError):  # a folder that cannot be written to
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_suffix(f".{os.getpid()}.part")
        part.write_text(script, encoding="utf-8")
        part.replace(kept)  # whole or not at all
    return script
