"""Options of ``conf/`` as the files they are, beside what Hydra composes of them."""

import functools
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from fitgap.config import project
from fitgap.errors import RequestError


def is_group(path: str) -> bool:
    """Tell whether there are options at a path, such as ``training/schedule``."""
    return any((folder / path).is_dir() for folder in project.config_dirs())


def has_option(group: str, name: str) -> bool:
    """Tell whether ``conf/``, of the project or packaged, has a file for an option."""
    return any((folder / group / f"{name}.yaml").is_file() for folder in project.config_dirs())


def read_option(group: str, name: str) -> Mapping[str, Any]:
    """Return an option of ``conf/`` as its file has it, without what Hydra's composition would add.

    Parameters
    ----------
    group
        A path, such as ``training/schedule``.
    name
        Of the option.

    Raises
    ------
    RequestError
        If there is no such option.
    """
    folders = [*project.config_dirs(), project.given_config_dir()]
    candidates = [folder / group / f"{name}.yaml" for folder in folders]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        raise RequestError(f"{group}={name}: there is no such option")
    return _read(found)


def refuse_shared_names(group: str, wanted: Collection[str]) -> None:
    """Refuse a name that two options of a group define: nothing would distinguish their runs.

    Parameters
    ----------
    group
        ``metrics``, whose options are named by their keys, or one whose options have a ``name``.
    wanted
        Names that an experiment has.

    Raises
    ------
    RequestError
        Naming both files.
    """
    by_name: dict[str, Path] = {}
    for folder in project.config_dirs():
        for path in sorted((folder / group).glob("*.yaml")):
            # Of equal file names the first folder's wins, as everywhere in conf/.
            names = [path.stem] if folder == project.CONFIG_DIR else _names(path, group)
            for name in set(names).intersection(wanted):
                other = by_name.setdefault(name, path)
                if other.name != path.name:
                    raise RequestError(
                        f"{group}: {name} is defined by two options, {other} and {path}; "
                        "give one of them another name"
                    )


def _names(path: Path, group: str) -> tuple[str, ...]:
    return _names_as_of(path, group, path.stat().st_mtime_ns)


@functools.cache
def _names_as_of(path: Path, group: str, _time: int) -> tuple[str, ...]:
    try:
        found = _read(path)
    except (yaml.YAMLError, OSError, UnicodeDecodeError):
        return ()  # Hydra says it better, if the option is chosen
    if not isinstance(found, Mapping):
        return ()
    return tuple(map(str, found if group == "metrics" else [found.get("name", path.stem)]))


def _read(path: Path) -> Mapping[str, Any]:
    option: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return option
