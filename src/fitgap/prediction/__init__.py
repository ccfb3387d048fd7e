"""What a recorded run's network predicts for its test samples, or for a person's files.

The saved model takes images of uint8, or a table's rows, as they are: nothing is scaled, filled or
encoded here.
"""

from fitgap.prediction.loading import load_dataset, load_model
from fitgap.prediction.of_images import (
    find_files,
    parse_indices,
    predict_files,
    predict_test_images,
    read_images,
)
from fitgap.prediction.of_rows import ARRAYS, TABLES, predict_array, predict_rows, predict_texts
from fitgap.prediction.predictions import Predictions, outputs_of

__all__ = [
    "ARRAYS",
    "TABLES",
    "Predictions",
    "find_files",
    "load_dataset",
    "load_model",
    "outputs_of",
    "parse_indices",
    "predict_array",
    "predict_files",
    "predict_rows",
    "predict_test_images",
    "predict_texts",
    "read_images",
]
