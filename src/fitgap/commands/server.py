"""``fitgap server``: MLflow with its own PostgreSQL."""

from pathlib import Path

import click

from fitgap.commands import options
from fitgap.config import project

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command("server")
@options.host
@options.port
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Number of MLflow's processes.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    help="Folder for database, artifacts and logs.  [default: .fitgap/server in the project "
    "folder]",
)
@click.option(
    "--auth", is_flag=True, help="Require accounts; this needs pip install 'mlflow[auth]'."
)
@click.option("--certfile", type=_FILE, help="Serve https: the certificate's file (PEM).")
@click.option("--keyfile", type=_FILE, help="The file of its private key (PEM).")
def command(
    *,
    host: str,
    port: int,
    workers: int,
    folder: Path | None,
    auth: bool,
    certfile: Path | None,
    keyfile: Path | None,
) -> None:
    """Serve MLflow with its own PostgreSQL, on loopback, until Ctrl-C."""
    from fitgap.tracking import postgres_server

    if (certfile is None) != (keyfile is None):
        raise click.UsageError("--certfile and --keyfile belong together")

    postgres_server.serve(
        folder or project.state_folder() / "server",
        host=host,
        port=port,
        workers=workers,
        auth=auth,
        tls=(certfile, keyfile) if certfile and keyfile else None,
    )
