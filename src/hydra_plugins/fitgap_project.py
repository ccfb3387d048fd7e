"""Has the options in a project's own ``conf/`` stand before the packaged ones.

Hydra imports this module in every application of an environment, so it changes nothing unless the
application reads fitgap's ``conf/``.
"""

from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.plugins.search_path_plugin import SearchPathPlugin

from hydra_plugins.fitgap_neighbours import is_fitgaps

PROVIDER = "fitgap-project"


class FitgapProject(SearchPathPlugin):
    """Puts the project's ``conf/`` on the search path, where an option by the same name wins."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Add the folder before the application's own."""
        from fitgap.config import project

        if not is_fitgaps(search_path):
            return
        own = project.own_config_dir()
        if own is not None:
            search_path.prepend(PROVIDER, f"file://{own}", anchor=SearchPathQuery("main", None))
        given = project.given_config_dir()
        if given.is_dir():
            search_path.append(PROVIDER, f"file://{given}")
