"""Types of what a person types after the lab's programs, for argparse."""

import argparse


def count(text: str) -> int:
    """Return a number of the command line; 1 or more."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {number}")
    return number
