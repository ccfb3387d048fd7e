"""Kill a sweep at random moments until it ends by itself; compare it with an undisturbed one."""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from fitgap.commands.exit_codes import FAILED, OK, run_command
from fitgap.config.project import CHECKOUT
from fitgap_lab.arguments import count
from fitgap_lab.chaos import check, report
from fitgap_lab.chaos import kills as chaos

DOCS = CHECKOUT / "docs" / "CHAOS.md"


def main() -> int:
    """Read the command line, disturb, compare, show and keep what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--kills",
        type=count,
        default=30,
        metavar="N",
        help="number of kills in total (%(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the schedule (%(default)s)")
    parser.add_argument(
        "--server",
        action="store_true",
        help="kill the MLflow server instead, which is started again",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=CHECKOUT / "reports" / "chaos.json",
        metavar="FILE",
        help="the result is added to it (reports/chaos.json)",
    )
    parser.add_argument("--docs", action="store_true", help="also write docs/CHAOS.md")
    arguments = parser.parse_args()

    started = time.monotonic()
    victims = ("server",) if arguments.server else ("worker", "parent")
    kills = chaos.schedule(arguments.kills, seed=arguments.seed, victims=victims)
    folder = Path(tempfile.mkdtemp(prefix="fitgap-chaos-"))
    disturbed_folder, undisturbed_folder = folder / "disturbed", folder / "undisturbed"
    disturbed_folder.mkdir()
    undisturbed_folder.mkdir()
    print(f"{len(kills)} kills; what the sweeps say: {disturbed_folder / 'said.txt'}", flush=True)
    disturbance = chaos.Chaos(
        disturbed_folder,
        kills,
        server=arguments.server,
        say=lambda line: print(line, flush=True),
    )
    problems = disturbance.run()
    print("now the same runs undisturbed", flush=True)
    chaos.undisturbed(undisturbed_folder, sweeps=disturbance.sweeps)

    disturbed, undisturbed = (
        check.read(place / "mlflow.db", experiment=chaos.EXPERIMENT)
        for place in (disturbed_folder, undisturbed_folder)
    )
    problems += check.differences(disturbed, undisturbed, sweeps=disturbance.sweeps)
    problems += check.leftovers(disturbance.uri, experiment=chaos.EXPERIMENT)
    part = report.make_part(
        disturbance.hits,
        seed=arguments.seed,
        sweeps=disturbance.sweeps,
        runs=len(undisturbed.runs),
        invocations=disturbance.invocations,
        seconds=time.monotonic() - started,
        differences=problems,
    )
    parts = report.read_json(arguments.output)
    parts["server" if arguments.server else "processes"] = part
    report.write_json(parts, arguments.output)
    report.print_part(part, console=Console())
    if arguments.docs:
        DOCS.write_text(report.to_markdown(parts), encoding="utf-8")
    print(f"written: {arguments.output}{f' and {DOCS}' if arguments.docs else ''}")
    if problems:
        print(f"both records are kept in {folder}", file=sys.stderr)
        return FAILED
    shutil.rmtree(folder)
    return OK


if __name__ == "__main__":
    run_command(main)
