"""Which Hydra application this is: fitgap's plugins change nothing in any other.

Hydra imports all plugins of an environment at the start of every application in it.
"""

from hydra.core.config_search_path import ConfigSearchPath
from omegaconf import DictConfig


def is_fitgaps(search_path: ConfigSearchPath) -> bool:
    """Tell whether an application reads fitgap's ``conf/``, by its search path."""
    main = {element.path for element in search_path.get_path() if element.provider == "main"}
    return bool(_addresses() & main)


def reads_fitgaps_options(config: DictConfig) -> bool:
    """Tell the same by what Hydra composed for it."""
    sources = {str(source.path) for source in config.hydra.runtime.config_sources}
    return bool(_addresses() & sources)


def _addresses() -> set[str]:
    from fitgap.config import project

    return {str(project.CONFIG_DIR), f"file://{project.CONFIG_DIR}"}
