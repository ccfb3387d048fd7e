"""How pages look: their colours in light, dark and print, and their files in ``templates``."""

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fitgap.charts import themes
from fitgap.errors import RequestError
from fitgap.trust.text import plain


def environment() -> Environment:
    """Return what renders the templates of pages: all texts are escaped and plain."""
    return Environment(
        loader=PackageLoader("fitgap.report"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def write(path: Path, html: str) -> None:
    """Write a page as a file; its folder is made.

    Raises
    ------
    RequestError
        If the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        raise RequestError(f"--output {path} cannot be written: {error.strerror}") from error


def style(environment: Environment) -> Markup:
    """Return the style sheet of a page, which is made of files of ours alone."""
    light, dark = themes.variables(themes.LIGHT), themes.variables(themes.DARK)
    sheet = (
        f":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
        f"@media print {{ :root {{ {light} }} }}\n" + source(environment, "report.css")
    )
    return Markup(sheet)  # noqa: S704 (nothing of it comes from a record)


def source(environment: Environment, name: str) -> str:
    """Return the text of a file of the environment."""
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _shown(value: object) -> object:
    """Return text without what changes a page's direction or is no character of HTML."""
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return plain(str(value), most=len(str(value))) if is_text else value
