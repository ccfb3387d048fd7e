"""Where fitgap speaks to a person: every line that it prints goes through here, at once."""

import sys


def say(text: str = "") -> None:
    """Print lines on standard output."""
    print(text, flush=True)


def warn(text: str) -> None:
    """Print lines on standard error: warnings, errors, and what is not the command's answer."""
    print(text, file=sys.stderr, flush=True)
