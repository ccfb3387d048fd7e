"""From an architecture's settings to a compiled Keras model.

The architectures of fitgap's own stand here under the names that configurations use.
"""

from fitgap.models.architectures import dense, sequential

__all__ = ["dense", "sequential"]
