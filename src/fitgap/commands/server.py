"""``fitgap server``: MLflow over a PostgreSQL of its own."""

from pathlib import Path

import click

from fitgap.commands import options
from fitgap.config import project


@click.command("server")
@options.host
@options.port
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="MLflow's processes.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    help="Database, artifacts, logs (.fitgap/server in the project folder).",
)
@click.option("--auth", is_flag=True, help="Ask for accounts: needs pip install 'mlflow[auth]'.")
def command(*, host: str, port: int, workers: int, folder: Path | None, auth: bool) -> None:
    """Serve MLflow over a PostgreSQL of its own, on loopback, until Ctrl-C."""
    from fitgap.tracking import postgres_server

    postgres_server.serve(
        folder or project.state_folder() / "server",
        host=host,
        port=port,
        workers=workers,
        auth=auth,
    )
