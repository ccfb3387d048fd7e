"""What can go wrong, by whom it can be mended: the request, or the run itself."""


class RequestError(ValueError):
    """The request is wrong: a setting, a dataset, a store. Nothing was started (exit code 2).

    The message is one or two lines: the setting, what is allowed, what arrived.
    """


class StoreAwayError(RequestError):
    """The tracking server does not answer now; it may later."""


class DivergedError(RuntimeError):
    """Training met a loss that is not finite; the run ends FAILED (exit code 1)."""


class DiskFullError(RuntimeError):
    """A disk has no room for the record or the checkpoint; the command ends (exit code 1)."""
