"""How a figure is written in tables and sentences."""

from collections.abc import Iterable

DECIMALS = 4  # one image of 10,000
LARGE = 1e10  # from here on, digits before the point say less than the exponent
MOST_DIGITS = 6  # of a number from 10,000


def decimals_for(values: Iterable[float], decimals: int = DECIMALS) -> int:
    """Return how many decimals numbers that stand together get: fewer if one is 10,000 or more.

    Parameters
    ----------
    values
        Any numbers; those that are written as a power of ten do not count.
    decimals
        Of smaller ones.

    >>> decimals_for([0.9, 9999.5]), decimals_for([-12345.678, 1.0]), decimals_for([1234567.8])
    (4, 1, 0)
    """
    digits = max((len(str(int(abs(one)))) for one in values if abs(one) < LARGE), default=0)
    return min(decimals, max(MOST_DIGITS - digits, 0)) if digits > 4 else decimals


def figure_text(value: float, decimals: int = DECIMALS, *, sign: str = "") -> str:
    """Return a number with so many decimals, fewer from 10,000; a very large one as a power of ten.

    Parameters
    ----------
    value
        Any number.
    decimals
        Digits behind the point of a number below 10,000.
    sign
        ``"+"``: a number above zero has a sign, too.

    >>> figure_text(0.91234), figure_text(0.5, 2, sign="+"), figure_text(1.23449e29)
    ('0.9123', '+0.50', '1.234e+29')
    >>> figure_text(12345.678901), figure_text(1234567.8), figure_text(-0.00001, sign="+")
    ('12345.7', '1234568', '+0.0000')
    """
    if abs(value) >= LARGE:
        return f"{value:{sign}.3e}"
    return f"{value:{sign}z.{decimals_for([value], decimals)}f}"  # z: no "-0.0"


def with_half_width(mean: float, half_width: float | None, *, sign: str = "") -> str:
    """Return a mean with half the width of its interval, if it has one.

    Parameters
    ----------
    mean
        Any number.
    half_width
        None where there is no interval.
    sign
        ``"+"``: a mean above zero has a sign, too.

    >>> with_half_width(0.5, 0.25), with_half_width(0.5, None, sign="+")
    ('0.5000 ± 0.2500', '+0.5000')
    >>> with_half_width(123456.5, 12.25)
    '123456 ± 12'
    """
    if half_width is None:
        return figure_text(mean, sign=sign)
    decimals = decimals_for([mean, half_width])
    return f"{figure_text(mean, decimals, sign=sign)} ± {figure_text(half_width, decimals)}"


def percent_text(share: float, decimals: int = 0) -> str:
    """Return a share in percent.

    Parameters
    ----------
    share
        From 0 to 1.
    decimals
        After the point.

    Examples
    --------
    >>> percent_text(0.05), percent_text(0.0189, 1)
    ('5 %', '1.9 %')
    """
    return f"{100 * share:.{decimals}f} %"
