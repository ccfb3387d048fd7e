"""Settings for the lab's programs, composed as the command composes them."""

from collections.abc import Iterable

from hydra import compose, initialize_config_dir

from fitgap.config import project, settings
from fitgap.config.schema import Config


def settings_of(overrides: Iterable[str]) -> Config:
    """Return the checked settings that ``fitgap train`` would have with some overrides.

    Parameters
    ----------
    overrides
        As on the command line.
    """
    with initialize_config_dir(str(project.CONFIG_DIR), version_base="1.3"):
        return settings.from_hydra(compose("train", list(overrides)))
