"""Which array of a file is which: by its name, or by ``dataset.keys``."""

import re
from collections.abc import Iterable, Mapping, Sequence

from fitgap.config.checks import did_you_mean
from fitgap.config.schema import ARRAY_ROLES, PARTS
from fitgap.errors import RequestError

_PART_WORDS = {
    "train": ("train", "training", "tr"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "te"),
}
_KIND_WORDS = {
    "x": ("x", "xs", "image", "images", "img", "imgs", "data", "feature", "features", "input",
          "inputs", "pixels", "samples"),
    "y": ("y", "ys", "label", "labels", "target", "targets", "class", "classes", "output",
          "outputs"),
}  # fmt: skip


# Xtrain, ytest
_WRITTEN_TOGETHER = re.compile(
    rf"^([xy])(?=(?:{'|'.join(word for words in _PART_WORDS.values() for word in words)})$)"
)


def role_of(name: str) -> str | None:
    """Return the role of an array, if its name is a common one.

    >>> [role_of(name) for name in ("X", "train_labels", "y_val", "testImages", "Xtr", "ids")]
    ['x_train', 'y_train', 'y_val', 'x_test', 'x_train', None]
    """
    words = re.findall(r"[A-Za-z][a-z]*|[A-Z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name))
    words = [
        piece for word in words for piece in _WRITTEN_TOGETHER.sub(r"\1 ", word.lower()).split()
    ]
    kinds = [kind for kind, known in _KIND_WORDS.items() if words and set(words) & set(known)]
    parts = [part for part, known in _PART_WORDS.items() if set(words) & set(known)]
    known = {w for group in (_KIND_WORDS, _PART_WORDS) for all_of in group.values() for w in all_of}
    if set(words) - known or len(kinds) != 1 or len(parts) > 1:
        return None
    return f"{kinds[0]}_{parts[0] if parts else 'train'}"


def find_roles(names: Sequence[str], keys: Mapping[str, str] | None) -> dict[str, str]:
    """Return the name of the array in each role.

    Parameters
    ----------
    names
        Of all arrays of a file.
    keys
        ``dataset.keys``: the names of some, or all, by role; None: by their names alone.

    Raises
    ------
    RequestError
        If x_train or y_train is not found, one of a pair is missing, or two names fit one role.
    """
    roles = dict(keys or {})
    for key, name in roles.items():
        if name not in names:
            raise RequestError(
                f"dataset.keys.{key}={name}: the file has {listed(names)}"
                f"{did_you_mean(name, names)}"
            )
    for name in names:
        role = role_of(name)
        if role is None or name in roles.values() or (keys and role in keys):
            continue
        if role in roles:
            raise RequestError(
                f"{roles[role]} and {name} could both be {role}; say which with "
                f"'dataset.keys={{{role}: {name}}}'"
            )
        roles[role] = name
    needed = {"x_train", "y_train"} | {
        f"{kind}_{part}"
        for part in PARTS
        for kind in "xy"
        if f"x_{part}" in roles or f"y_{part}" in roles
    }
    missing = [role for role in ARRAY_ROLES if role in needed and role not in roles]
    if missing:
        wanted = ", ".join(f"{role}: NAME" for role in missing)
        raise RequestError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing: the file has "
            f"{listed(names)}; name the arrays with 'dataset.keys={{{wanted}}}'"
        )
    return roles


def listed(names: Iterable[str]) -> str:
    """Return the names of arrays as a message shows them: the first few, shortened.

    >>> listed(["X", "y" * 50]), listed([])
    ('X, yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy…', 'no array')
    """
    names = list(names)
    shown = [name if len(name) <= 40 else f"{name[:39]}…" for name in names[:10]]
    return ", ".join([*shown, *(["..."] if len(names) > 10 else [])]) or "no array"
