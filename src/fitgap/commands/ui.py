"""``fitgap ui``: MLflow's UI for the database that the runs are recorded in."""

import socket

import click

from fitgap.commands import exit_codes, options
from fitgap.console import say
from fitgap.errors import RequestError

UNUSED = "Default"  # MLflow's own experiment: nothing is recorded there unless a person asks


@click.command("ui")
@options.uri
@options.host
@options.port
def command(*, uri: str, host: str, port: int) -> int:
    """Open MLflow's UI for the database that the runs are recorded in, until Ctrl-C."""
    from fitgap import store
    from fitgap.tracking import mlflow_ui

    store.check(uri)
    if uri.startswith("http"):
        address = mlflow_ui.browser_address(uri)
        say(f"the tracking server itself shows MLflow's UI: {address}")
        _print_links(uri, server=address)
        return exit_codes.OK
    _check_port(host, port)
    say(f"MLflow's UI of {store.redact(uri)} is starting")

    def say_where() -> None:
        say("It answers until Ctrl-C. For charts, write CHART instead of TABLE in the address:")
        _print_links(uri, server=f"http://{host}:{port}")

    return mlflow_ui.serve(uri, host=host, port=port, when_ready=say_where)


def _check_port(host: str, port: int) -> None:
    """Refuse a port that another program listens on, before an address is printed."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise RequestError(
            f"--host {host} --port {port}: {error.strerror}; try --port {port % 65535 + 1}"
        ) from error


def _print_links(uri: str, *, server: str) -> None:
    from fitgap import store
    from fitgap.tracking import mlflow_ui
    from fitgap.trust.text import line

    for name, number in store.experiments(uri).items():
        # Made by MLflow, it has no such view.
        if name != UNUSED or store.find_runs(uri, experiment=name):
            say(f"  {line(name)}: {mlflow_ui.link(number, server=server)}")
