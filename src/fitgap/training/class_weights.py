"""How much each class weighs in the training loss, where classes are uneven."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fitgap.errors import RequestError

BALANCED = "balanced"


def sample_weights(
    setting: str | Mapping[str, float] | None, y: NDArray[np.int64], *, class_names: Sequence[str]
) -> NDArray[np.float32] | None:
    """Return the weight of each training sample.

    Parameters
    ----------
    setting
        ``training.class_weight``: None; ``balanced``, which weighs a class by n / (classes · its
        samples), so that all classes weigh the same in sum, as scikit-learn does; or weights by
        the class's name or number, 1 for those left out.
    y
        Class numbers of the training partition, of shape (n,).
    class_names
        One per class.

    Returns
    -------
    ndarray or None
        float32 of shape (n,); None without weights.

    Raises
    ------
    RequestError
        If a class does not exist, or is named twice.
    """
    if setting is None:
        return None
    weights = np.ones(len(class_names))
    if setting == BALANCED:
        counts = np.bincount(y, minlength=len(class_names))
        weights = len(y) / (len(class_names) * np.maximum(counts, 1))
    elif isinstance(setting, Mapping):
        numbers = [_number_of(str(name), class_names) for name in setting]
        if len(set(numbers)) != len(numbers):
            raise RequestError(
                f"training.class_weight={dict(setting)} names a class twice, by name and by number"
            )
        weights[numbers] = list(setting.values())
    return weights.astype(np.float32)[y]


def _number_of(name: str, class_names: Sequence[str]) -> int:
    if name in class_names:
        return list(class_names).index(name)
    if name.isdecimal() and int(name) < len(class_names):
        return int(name)
    shown = ", ".join(map(repr, class_names[:10])) + (", ..." if len(class_names) > 10 else "")
    raise RequestError(
        f"training.class_weight: there is no class {name!r}; the classes are {shown} "
        f"(or numbers from 0 to {len(class_names) - 1})"
    )
