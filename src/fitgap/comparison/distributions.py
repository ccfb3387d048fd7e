"""SciPy's distribution functions, without the parts of NumPy that SciPy would import with them.

`scipy.stats` has the same under clearer names, but takes a second to import.
"""

from fitgap import heavy_imports

with heavy_imports.seldom_used_later():
    from scipy.special import bdtr, chdtri, ndtri, polygamma, stdtr, stdtrit

__all__ = ["bdtr", "chdtri", "ndtri", "polygamma", "stdtr", "stdtrit"]
