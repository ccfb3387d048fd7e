"""Write artificial runs into a new database, to measure what a comparison of many runs costs."""

import argparse
from pathlib import Path

from fitgap.commands.exit_codes import run_command
from fitgap_lab.arguments import count
from fitgap_lab.benchmark import generated_runs


def main() -> None:
    """Read the command line, write, and say how to look at it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=count, default=10_000, metavar="N", help="(%(default)s)")
    parser.add_argument("--database", type=Path, required=True, metavar="FILE", help="a new file")
    arguments = parser.parse_args()
    generated_runs.write(arguments.database, runs=arguments.runs)
    print(f"wrote {arguments.runs} runs; look at them with:")
    print(
        f"python scripts/compare.py --experiment {generated_runs.EXPERIMENT} "
        f"--uri sqlite:///{arguments.database}"
    )


if __name__ == "__main__":
    run_command(main)
