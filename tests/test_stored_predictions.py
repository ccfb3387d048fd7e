"""Predictions of the test images, written and read back; damaged ones are said to be."""

from dataclasses import replace

import numpy as np
import pytest

from fitgap.comparison import disagreement
from fitgap.errors import RequestError
from fitgap.store import StoredRun, predictions

TRUE = np.array([0, 1, 2, 2, 1])
PROBABILITIES = np.array(
    [[0.9, 0.1, 0], [0.6, 0.4, 0], [0.0, 0.8, 0.2], [0, 0.1, 0.9], [0.8, 0.2, 0]], np.float32
)


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "파일 %"
    folder.mkdir()
    predictions.save(
        folder,
        true=TRUE,
        probabilities=PROBABILITIES,
        validation_right=np.array([True, False, True]),
        val_rows=np.array([4, 0, 7]),
    )
    return StoredRun("r1", "", "FINISHED", 0, {}, {}, {}, artifact_uri=folder.as_uri())


def test_what_was_predicted_is_read_back(run):
    found = predictions.load(run, uri="")
    assert found.true.tolist() == TRUE.tolist()
    assert found.predicted.tolist() == [0, 0, 1, 2, 0]
    assert found.confidence.tolist() == PROBABILITIES.max(axis=1).tolist()
    assert found.confusion(3).tolist() == [[1, 0, 0], [2, 0, 0], [0, 1, 1]]


def test_which_validation_images_were_right_is_read_back(run, tmp_path):
    assert predictions.validation_right(run, uri="").tolist() == [True, False, True]
    elsewhere = replace(run, artifact_uri=str(tmp_path))  # where nothing was recorded
    assert predictions.validation_right(elsewhere, uri="") is None
    predictions.save(tmp_path, true=TRUE, probabilities=PROBABILITIES)  # by an older version
    assert predictions.validation_right(elsewhere, uri="") is None
    assert predictions.load(elsewhere, uri="").true.tolist() == TRUE.tolist()
    np.savez(tmp_path / predictions.FILE_NAME, validation_right=np.array([0.5]))
    assert predictions.validation_right(elsewhere, uri="") is None


def test_errors_come_with_the_most_confident_first_and_equals_in_order(run):
    found = predictions.load(run, uri="")
    assert found.most_confident_errors(2) == [2, 4]
    assert found.most_confident_errors(9) == [2, 4, 1]


def test_a_run_of_an_older_version_has_none(run, tmp_path):
    with pytest.raises(RequestError, match=r"no predictions\.npz"):
        predictions.load(replace(run, artifact_uri=str(tmp_path)), uri="")


def test_models_are_compared_on_the_images_that_only_one_got_right(run):
    first = predictions.load(run, uri="")
    second = replace(first, predicted=np.array([1, 1, 2, 2, 1]))
    # First: right at 0 and 3. Second: at 1, 2, 3, 4. 2 * (1 + 4) / 2**4.
    found = disagreement.compare(first, second)
    assert (found.only_first, found.only_second) == (1, 3)
    assert found.p == pytest.approx(2 * 5 / 16)


def test_other_test_images_are_not_compared(run):
    first = predictions.load(run, uri="")
    with pytest.raises(RequestError, match="not the same"):
        disagreement.compare(first, replace(first, true=first.true[::-1]))


def damage(path, how):
    if how == "cut":
        path.write_bytes(path.read_bytes()[:200])
    elif how == "text":
        path.write_text("not an archive")
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "lengths":
        np.savez(path, test_true=TRUE, test_predicted=TRUE[:2], test_confidence=TRUE)
    elif how == "objects":
        odd = np.array([{}, "x"], dtype=object)
        np.savez(path, test_true=odd, test_predicted=odd, test_confidence=odd)
    else:
        np.savez(path, something=TRUE)


@pytest.mark.parametrize("how", ["cut", "text", "empty", "lengths", "objects", "other arrays"])
def test_a_damaged_file_is_a_request_error_of_one_line(run, tmp_path, how):
    damage(tmp_path / "파일 %" / predictions.FILE_NAME, how)
    with pytest.raises(RequestError, match=r"predictions.npz of run r1 cannot be read: [^\n]+$"):
        predictions.load(run, uri="")
