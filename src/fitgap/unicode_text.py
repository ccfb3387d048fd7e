"""Text in arrays, where NumPy keeps any number of 32 bits as a character."""

import numpy as np
from numpy.typing import NDArray


def is_no_unicode(texts: NDArray[np.str_]) -> NDArray[np.bool_]:
    r"""Tell which texts hold numbers that are no characters.

    NumPy keeps any number of 32 bits. Beyond Unicode, Python makes no text of it; of half of a
    surrogate pair it does, which then cannot be written anywhere.

    Parameters
    ----------
    texts
        Of any shape.

    Returns
    -------
    array of bool
        Of the same shape.

    Examples
    --------
    >>> is_no_unicode(np.array(["a", "\ud800"]))
    array([False,  True])
    """
    if texts.size == 0 or texts.dtype.itemsize == 0:
        return np.zeros(texts.shape, np.bool_)
    native = np.ascontiguousarray(texts, texts.dtype.newbyteorder("="))
    numbers = native.view(np.uint32).reshape(*texts.shape, -1)
    is_none = ((numbers >= 0xD800) & (numbers < 0xE000)) | (numbers > 0x10FFFF)
    found: NDArray[np.bool_] = np.any(is_none, axis=-1)
    return found
