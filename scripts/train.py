"""Train one experiment, or with -m a sweep of them; see --help."""

import hydra
from omegaconf import DictConfig

from fitgap.commands.exit_codes import report, run_command
from fitgap.config.project import CONFIG_DIR


@hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name="train")
def main(composed: DictConfig) -> object:
    """Run one Hydra job."""
    # Neither --help nor a misspelt override waits for what a job imports.
    from fitgap.sweep.job import run_job

    try:
        return run_job(composed)
    except Exception as error:
        # Raised as it is, Hydra would print a line of its own before it.
        raise SystemExit(report(error)) from error


if __name__ == "__main__":
    run_command(main)
