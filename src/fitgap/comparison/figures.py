"""How a figure is written in tables and sentences."""

DECIMALS = 4  # one image of 10,000
LARGE = 1e10  # from here on, digits before the point say less than the exponent


def figure_text(value: float, decimals: int = DECIMALS, *, sign: str = "") -> str:
    """Return a number with so many decimals; a very large one in four significant digits.

    Parameters
    ----------
    value
        Any number.
    decimals
        Digits behind the point.
    sign
        ``"+"``: a number above zero has a sign, too.

    >>> figure_text(0.91234), figure_text(0.5, 2, sign="+"), figure_text(1.23449e29)
    ('0.9123', '+0.50', '1.234e+29')
    """
    return f"{value:{sign}.3e}" if abs(value) >= LARGE else f"{value:{sign}.{decimals}f}"


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
    """
    text = figure_text(mean, sign=sign)
    return text if half_width is None else f"{text} ± {figure_text(half_width)}"


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
