"""Look at the data of an experiment before training: shapes, classes, duplicates, leakage."""

import sys

import hydra
from omegaconf import DictConfig

from fitgap.commands.exit_codes import report, run_command
from fitgap.config import project
from fitgap.config import settings as config
from fitgap.data import datasets, splits
from fitgap.data import report as data_report
from fitgap.data.image_folder import UnreadableImagesError


@hydra.main(version_base="1.3", config_path=str(project.CONFIG_DIR), config_name="train")
def main(composed: DictConfig) -> None:
    """Check the data that the overrides name and print what was found."""
    try:
        settings = config.from_hydra(composed)
        limit = settings.training.memory_limit_mb
        dataset = datasets.load(settings.dataset, memory_limit_mb=limit, split=settings.split)
        split = splits.split_dataset(dataset, settings.split)
        sys.stdout.write(data_report.to_markdown(data_report.findings(dataset, split)))
    except UnreadableImagesError as error:
        print("\n".join(error.reasons))
        raise SystemExit(report(error)) from error
    except Exception as error:
        raise SystemExit(report(error)) from error


if __name__ == "__main__":
    run_command(main)
