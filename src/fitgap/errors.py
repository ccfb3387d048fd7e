"""What can go wrong, by who can fix it: a wrong request, or the run itself."""

from collections.abc import Iterator
from contextlib import contextmanager

from fitgap.console import one_line, shortened


class RequestError(ValueError):
    """The request is wrong: a setting, a dataset, a store. Nothing was started (exit code 2).

    Parameters
    ----------
    message
        The setting, what is allowed, what arrived.
    *others
        Further lines, mostly one: what can be done.

    Notes
    -----
    Each of them is a line, whatever names of data or of a record it repeats: a line break in a
    name begins none.
    """

    def __init__(self, message: str, *others: str) -> None:
        super().__init__(*map(_line, (message, *others)))

    def __str__(self) -> str:
        """Return the lines."""
        return "\n".join(self.args)


class StoreAwayError(RequestError):
    """The tracking server does not answer now; it may answer later."""


class DivergedError(RuntimeError):
    """The loss is no longer finite; the run ends as FAILED (exit code 1)."""


class DiskFullError(RuntimeError):
    """A disk has no room for the record or the checkpoint; the command ends (exit code 1)."""


class OutOfMemoryError(RuntimeError):
    """The memory is too small for a run, which ends as FAILED (exit code 1)."""


@contextmanager
def about(source: str) -> Iterator[None]:
    """Put before the message of a `RequestError` what it is about, such as ``dataset.path=a.csv``.

    Parameters
    ----------
    source
        Stands before a colon.
    """
    try:
        yield
    except RequestError as error:
        first, *others = error.args
        # Another error raised from it would tell all twice.
        error.args = (_line(f"{source}: {first}"), *others)
        raise


def _line(text: str) -> str:
    """Return text as a line that is not endless, also where each of its letters is an escape."""
    return shortened(one_line(shortened(text)))


def first_line(error: BaseException) -> str:
    r"""Return the first line of an error's message; its type's name if it has no message.

    A line that ends with a colon is followed by the next one.

    >>> first_line(ValueError("no such key:\n  'alpha'\nin the file")), first_line(EOFError())
    ("no such key: 'alpha'", 'EOFError')
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    lines = lines or [type(error).__name__]
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
