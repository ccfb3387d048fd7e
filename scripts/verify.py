"""Compare Keras with the NumPy reference: every operation once, then whole epochs of training."""

import argparse
from pathlib import Path

from rich.console import Console

from fitgap.commands import exit_codes
from fitgap.config.project import CHECKOUT
from fitgap.config.schema import DatasetConfig
from fitgap.data import datasets
from fitgap.errors import RequestError
from fitgap_lab.verification.report import conclusion, print_tables, to_json, to_markdown
from fitgap_lab.verification.verify import verify

REAL, BUNDLED = "fashion_mnist", "digits"


def main() -> int:
    """Read the command line, verify, print, write; return 1 if anything is out of tolerance."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--dataset",
        choices=(REAL, BUNDLED),
        help=f"dataset of the epochs ({REAL}, or {BUNDLED} if that is missing)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("reports/verify"),
        metavar="DIR",
        help="for verification.md and .json (%(default)s)",
    )
    parser.add_argument(
        "--docs", action="store_true", help="also write docs/VERIFICATION.md, from the real data"
    )
    arguments = parser.parse_args()
    if arguments.docs and arguments.dataset == BUNDLED:
        raise RequestError(f"--docs is written from a run on {REAL}, got --dataset={BUNDLED}")

    dataset = arguments.dataset or _best_dataset(may_fall_back=not arguments.docs)
    console = Console()
    with console.status("") as status:
        result = verify(dataset=dataset, show=status.update)
    print_tables(result, console=console)
    command = "make verify" if dataset == REAL else f"make verify ARGS='--dataset {dataset}'"
    markdown = to_markdown(result, command=command)
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "verification.md").write_text(markdown)
    (arguments.output / "verification.json").write_text(to_json(result))
    print(f"{conclusion(result)}; tables and rule in {arguments.output}/verification.md")
    if arguments.docs:
        page = CHECKOUT / "docs" / "VERIFICATION.md"
        page.write_text(markdown)
        print(f"and in {page}")
    return exit_codes.OK if result.agrees else exit_codes.FAILED


def _best_dataset(*, may_fall_back: bool) -> str:
    try:
        datasets.load(DatasetConfig(name=REAL))
    except RequestError as error:
        if not may_fall_back:
            raise
        print(f"{error}\nThe check continues with dataset={BUNDLED}.")
        return BUNDLED
    return REAL


if __name__ == "__main__":
    exit_codes.run_command(main)
