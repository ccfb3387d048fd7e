"""How pages look: their colours in light, dark and print, and their files in ``templates``."""

from jinja2 import Environment

from fitgap.charts import themes


def style(environment: Environment) -> str:
    """Return the style sheet of a page."""
    light, dark = themes.variables(themes.LIGHT), themes.variables(themes.DARK)
    return (
        f":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
        f"@media print {{ :root {{ {light} }} }}\n" + source(environment, "report.css")
    )


def source(environment: Environment, name: str) -> str:
    """Return the text of a file of the environment."""
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]
