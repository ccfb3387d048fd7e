"""Hydra for the duration of a call. Afterwards its global state is as it was before."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.version import VersionBase

from fitgap.commands import hydra_errors
from fitgap.config.project import CONFIG_DIR
from fitgap.errors import RequestError

if TYPE_CHECKING:
    from hydra._internal.hydra import Hydra

_STATE = (GlobalHydra, HydraConfig, VersionBase)


@contextmanager
def session() -> Iterator["Hydra"]:
    """Give a Hydra that composes fitgap's settings, the project's own options among them.

    Raises
    ------
    RequestError
        Saying in a line or two what Hydra finds wrong.
    """
    kept = {kind: Singleton._instances.pop(kind, None) for kind in _STATE}
    try:
        with initialize_config_dir(str(CONFIG_DIR), job_name="fitgap", version_base="1.3"):
            hydra = GlobalHydra.instance().hydra
            assert hydra is not None
            yield hydra
    except Exception as error:  # one of Hydra's is a plain ValueError; every other goes on
        if hydra_errors.is_wrong_request(error):
            raise RequestError(*hydra_errors.describe(error).splitlines()) from error
        raise
    finally:
        for kind, instance in kept.items():
            Singleton._instances.pop(kind, None)
            if instance is not None:
                Singleton._instances[kind] = instance
