"""Give damaged and hostile files to what reads them, guided by what its code does with them."""

import argparse
import importlib.util
import os
from pathlib import Path

from fitgap.commands.exit_codes import FAILED, OK, run_command
from fitgap.config.project import CHECKOUT
from fitgap.errors import RequestError
from fitgap_lab.arguments import count

PAGE = CHECKOUT / "docs" / "FUZZ.md"
KEPT = CHECKOUT / "reports" / "fuzz"


def main() -> int:
    """Read the command line, feed the readers, show and keep what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "readers", nargs="*", metavar="READER", help="by name; all if none is given"
    )
    parser.add_argument(
        "--minutes", type=float, default=1.0, metavar="N", help="for each reader (%(default)s)"
    )
    parser.add_argument(
        "--at-once",
        type=count,
        default=os.cpu_count(),
        metavar="N",
        help="readers at once (the machine's cores, %(default)s)",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=KEPT,
        metavar="FOLDER",
        help="of what is kept for the next time (reports/fuzz)",
    )
    parser.add_argument("--docs", action="store_true", help="also write the sums into docs/FUZZ.md")
    arguments = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        raise RequestError("Atheris is not installed: make setup-extras (on Linux, x86-64)")

    from fitgap_lab import pages
    from fitgap_lab.fuzz import campaign, report
    from fitgap_lab.fuzz.readers import READERS

    if unknown := sorted(set(arguments.readers) - set(READERS)):
        raise RequestError(f"no reader is called {unknown[0]}; there are {', '.join(READERS)}")

    def say(outcome: campaign.Outcome) -> None:
        print(
            f"{outcome.reader:12} {outcome.inputs:9,} inputs {outcome.edges:6,} edges "
            f"{outcome.peak_mb:6,} MB  {outcome.finding or 'nothing found'}",
            flush=True,
        )

    outcomes = campaign.run(
        arguments.readers or list(READERS),
        folder=arguments.folder,
        minutes=arguments.minutes,
        at_once=arguments.at_once,
        say=say,
    )
    kept = arguments.folder / "sums.json"
    sums = report.added(report.read_json(kept), outcomes)
    report.write_json(sums, kept)
    if arguments.docs:
        pages.replace_table(PAGE, "fuzz", report.to_table(sums.values()))
    return FAILED if any(outcome.finding for outcome in outcomes) else OK


if __name__ == "__main__":
    run_command(main)
