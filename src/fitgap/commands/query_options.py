"""The command-line options that say what of an experiment is compared."""

import argparse
from pathlib import Path

from fitgap import store
from fitgap.comparison.query import Query
from fitgap.config import project


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--experiment``, ``--uri`` and the parts of a `Query`."""
    parser.add_argument(
        "--experiment",
        default=project.experiment(),
        metavar="NAME",
        help="MLflow experiment (%(default)s)",
    )
    parser.add_argument(
        "--sort", metavar="METRIC", help="rank by this metric's mean (val/accuracy)"
    )
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="CONDITION",
        help='only runs with "optimizer=adam,sgd", "training.epochs>=5"; may be repeated',
    )
    parser.add_argument(
        "--by",
        nargs="+",
        action="extend",
        default=[],
        metavar="SETTING",
        help="groups by these settings, averaged over all others",
    )
    parser.add_argument(
        "--metric",
        nargs="+",
        action="extend",
        default=[],
        metavar="METRIC",
        help="the metrics to show",
    )
    parser.add_argument(
        "--sweep", metavar="RUN_ID", help="only the children of this sweep's parent run"
    )
    parser.add_argument(
        "--uri", help="MLflow store ($MLFLOW_TRACKING_URI, else mlflow.db of this project)"
    )


def add_sweep_options(parser: argparse.ArgumentParser, *, preset: str) -> None:
    """Add the options of a script that reads one recorded sweep and writes files named after it."""
    parser.add_argument(
        "--experiment",
        default=project.experiment(),
        metavar="NAME",
        help="MLflow experiment (%(default)s)",
    )
    parser.add_argument("--sweep", metavar="RUN_ID", help=f"parent run (the newest sweep={preset})")
    parser.add_argument(
        "--uri", help="MLflow store ($MLFLOW_TRACKING_URI, else mlflow.db of this project)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("reports") / preset,
        metavar="DIR",
        help=f"folder for {preset}.md, .png and .svg (%(default)s)",
    )


def query_of(arguments: argparse.Namespace) -> Query:
    """Return what the options ask for."""
    return Query(
        sort=arguments.sort,
        where=tuple(arguments.where),
        by=tuple(arguments.by),
        sweep=arguments.sweep,
        metrics=tuple(arguments.metric),
    )


def uri_of(arguments: argparse.Namespace) -> str:
    """Return where the record is."""
    return store.resolve_uri(arguments.uri)
