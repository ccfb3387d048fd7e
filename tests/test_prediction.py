"""A run's network, loaded from the record, says again what it said when it was recorded."""

import base64
import io
import json
import re
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from fitgap import experiment, prediction, store
from fitgap.errors import RequestError
from fitgap.prediction import Predictions
from fitgap.report import prediction_tables
from fitgap.store import recorded

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def finished(compose, template_database, tmp_path_factory):
    """Return the store of one finished run on the digits, and the run's result."""
    folder = tmp_path_factory.mktemp("predictions")
    uri = f"sqlite:///{shutil.copy(template_database, folder / 'mlflow.db')}"
    settings = compose(
        "training.epochs=3", "architecture=dense", "architecture.units=[32]", f"tracking.uri={uri}"
    )
    return uri, experiment.run(experiment.plan(settings))


@pytest.fixture(scope="module")
def loaded(finished):
    uri, result = finished
    run = recorded.open_run(result.run_id, uri=uri)
    return run, prediction.load_dataset(run), prediction.load_model(run)


@pytest.fixture
def by_hand():
    """Return two images: a right answer and a wrong one."""
    return Predictions(
        sources=[4, 7],
        images=np.zeros((2, 8, 8), np.uint8),
        labels=np.array([1, 2]),
        outputs=np.array([[0.1, 0.7, 0.2], [0.5, 0.25, 0.25]], np.float32),
        class_names=("하나", "둘", "셋"),
    )


def test_loaded_network_scores_what_the_record_says(finished, loaded):
    _, result = finished
    _, dataset, model = loaded
    everything = prediction.predict_test_images(model, dataset, range(len(dataset.y_test)))
    accuracy = np.mean(everything.predicted == dataset.y_test)
    assert accuracy == pytest.approx(result.metrics["test/accuracy"], abs=1e-6)
    np.testing.assert_allclose(everything.outputs.sum(axis=1), 1, atol=1e-5)


def test_chosen_images_come_in_the_order_asked_for(loaded):
    _, dataset, model = loaded
    chosen = prediction.predict_test_images(model, dataset, [12, 3])
    alone = prediction.predict_test_images(model, dataset, [3])
    assert chosen.labels.tolist() == dataset.y_test[[12, 3]].tolist()
    np.testing.assert_array_equal(chosen.images[1], dataset.x_test[3])
    np.testing.assert_allclose(chosen.outputs[1], alone.outputs[0], atol=1e-6)


def test_predicted_class_is_the_most_probable(by_hand):
    assert by_hand.predicted.tolist() == [1, 0]
    assert by_hand.confidence.tolist() == pytest.approx([0.7, 0.5])


@pytest.mark.parametrize(
    ("text", "indices"),
    [
        ("0", [0]),
        ("0-3", [0, 1, 2, 3]),
        ("3,7,5", [3, 7, 5]),
        ("8-9, 1", [8, 9, 1]),
        ("4-4", [4]),
    ],
)
def test_choice_of_images_is_read(text, indices):
    assert prediction.parse_indices(text, count=10) == indices


@pytest.mark.parametrize("text", ["", "a", "-1", "3-", "5-2", "1.5", "1,,2", "0-1-2"])
def test_misspelt_choice_of_images_is_a_wrong_request(text):
    with pytest.raises(RequestError, match="--images must look like"):
        prediction.parse_indices(text, count=10)


@pytest.mark.parametrize("text", ["10", "0-10", "0-99999999999"])
def test_image_that_is_not_there_is_a_wrong_request(text):
    with pytest.raises(RequestError, match="from 0 to 9"):
        prediction.parse_indices(text, count=10)


@pytest.mark.parametrize("run_id", ["nope", "0" * 32, "a/b", ""])
def test_unknown_run_is_a_wrong_request(run_id, finished):
    with pytest.raises(RequestError, match=r"there is no run|no run id begins like this"):
        recorded.open_run(run_id, uri=finished[0])


def test_absent_store_is_a_wrong_request_and_stays_absent(tmp_path):
    with pytest.raises(RequestError, match="there are no runs"):
        recorded.open_run("0" * 32, uri=f"sqlite:///{tmp_path}/mistyped.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("role", "said"), [("sweep", "a sweep"), ("run", "RUNNING")])
def test_run_without_a_model_is_a_wrong_request(role, said, tracking_uri):
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri)
    run_id = client.create_run("0", tags={"fitgap.role": role}).info.run_id
    with pytest.raises(RequestError, match=said):
        recorded.open_run(run_id, uri=tracking_uri)


@pytest.fixture
def file_of(finished):
    """Return a function that finds a file of the run; it is as it was after the test."""
    changed = []

    def find(name):
        (path,) = Path(finished[0].removeprefix("sqlite:///")).parent.glob(f"mlartifacts/**/{name}")
        changed.append((path, path.read_bytes()))
        return path

    yield find
    for path, content in changed:
        path.write_bytes(content)


def use(finished):
    uri, result = finished
    prediction.load_model(recorded.open_run(result.run_id, uri=uri))


@pytest.mark.parametrize("name", ["config.yaml", "model.keras"])
def test_record_whose_files_are_gone_is_a_wrong_request(name, file_of, finished):
    file_of(name).unlink()
    with pytest.raises(RequestError, match="cannot be read"):
        use(finished)


@pytest.mark.parametrize("damage", ["empty", "half", "no archive", "bytes within"])
def test_damaged_network_is_a_wrong_request(damage, file_of, finished):
    path = file_of("model.keras")
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(
        {
            "empty": b"",
            "half": content[:middle],
            "no archive": b"weights" * 100,
            "bytes within": content[:middle] + b"\0" * 2000 + content[middle + 2000 :],
        }[damage]
    )
    with pytest.raises(
        RequestError, match=r"the model of run .* cannot be opened: model\.keras"
    ) as caught:
        use(finished)
    assert "\n" not in str(caught.value)


def test_network_that_brings_code_is_refused(file_of, finished):
    import keras

    harmful = keras.Sequential([keras.Input((8, 8)), keras.layers.Lambda(lambda x: x)])
    harmful.save(file_of("model.keras"))
    with pytest.raises(RequestError, match="Lambda"):
        use(finished)


def test_settings_that_are_no_more_are_set_aside(file_of, finished):
    path = file_of("config.yaml")
    older = path.read_text().replace("training:\n", "training:\n  warm: {up: 3}\n")
    path.write_text("colour: red\n" + older)
    uri, result = finished
    run = recorded.open_run(result.run_id, uri=uri)
    assert run.unknown_settings == {"colour": "red", "training.warm": {"up": 3}}
    assert run.config.training.epochs == 3


def test_record_lacking_a_setting_is_a_wrong_request(file_of, finished):
    path = file_of("config.yaml")
    path.write_text(path.read_text().replace("  batch_size: 32\n", ""))
    uri, result = finished
    with pytest.raises(RequestError, match=r"no value for training\.batch_size"):
        recorded.open_run(result.run_id, uri=uri)


def test_altered_dataset_is_a_wrong_request(loaded):
    run, *_ = loaded
    with pytest.raises(RequestError, match="recorded is abcdef00"):
        prediction.load_dataset(replace(run, tags={"fitgap.dataset_digest": "abcdef0012"}))


def test_data_directory_of_another_machine_does_not_matter(loaded, tmp_path):
    run, dataset, _ = loaded
    elsewhere = replace(run.config.dataset, data_dir=str(tmp_path / "gone"))
    moved = replace(run, config=replace(run.config, dataset=elsewhere))
    assert prediction.load_dataset(moved).digest == dataset.digest


def test_table_marks_wrong_predictions(by_hand):
    console = Console(width=80)
    with console.capture() as capture:
        console.print(prediction_tables.to_table(by_hand))
    right, wrong = capture.get().splitlines()[2:4]
    assert right.split() == ["4", "둘", "둘", "0.7000"]
    assert wrong.split() == ["7", "셋", "하나", "0.5000", "wrong"]


def test_json_has_all_probabilities(loaded, by_hand):
    found = json.loads(prediction_tables.to_json(loaded[0], by_hand))
    assert found["classes"] == ["하나", "둘", "셋"]
    assert found["images"][0]["probabilities"] == pytest.approx([0.1, 0.7, 0.2])
    assert [found["images"][0][key] for key in ("index", "true", "predicted")] == [4, "둘", "둘"]


@pytest.mark.parametrize("count", [1, 7, 101])
def test_picture_has_an_image_with_its_lines_for_each_up_to_its_limit(count, tmp_path):
    from fitgap.charts import predicted_images

    pixels = np.arange(count, dtype=np.uint8)[:, None, None] * np.ones((8, 8), np.uint8)
    predictions = Predictions(
        sources=range(count),
        images=pixels,
        labels=np.zeros(count, np.int64),
        outputs=np.tile(np.array([0.25, 0.75], np.float32), (count, 1)),
        class_names=("zero", "one"),
    )
    path = tmp_path / "p.svg"
    prediction_tables.save_picture(predictions, path)
    svg = path.read_text("utf-8")
    drawn = re.findall(r"data:image/png;base64,([^\"]+)", svg)
    assert len(drawn) == min(count, predicted_images.MOST_IMAGES)
    for i, text in enumerate(drawn):
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))
        assert np.all(shown == 255 - i)  # as ink on paper
    assert svg.count(">✗ one, p = 0.7500") == len(drawn)
    assert "image 0, true: zero" in svg


@pytest.fixture
def predict(script, monkeypatch, tmp_path):
    """Return a function that runs scripts/predict.py in this process and an empty folder."""
    monkeypatch.chdir(tmp_path)
    return partial(script, "predict.py")


def test_script_prints_and_draws_the_first_ten(predict, finished, loaded):
    uri, result = finished
    code, output = predict(result.run_id, "--uri", uri)
    assert code == 0, output.err
    rows = [line.split() for line in output.out.splitlines()[-10:]]
    assert [row[0] for row in rows] == [str(i) for i in range(10)]
    assert [row[1] for row in rows] == [str(label) for label in loaded[1].y_test[:10]]
    picture = Path("reports") / f"predictions-{result.run_id[:8]}.png"
    assert str(picture) in output.err
    assert picture.read_bytes().startswith(PNG_SIGNATURE)


def test_script_writes_json_and_nothing_else_to_its_output(predict, finished):
    uri, result = finished
    arguments = ("--uri", uri, "--images", "3,7", "--format", "json", "--picture", "a/b.png")
    code, output = predict(result.run_id, *arguments)
    assert code == 0
    assert [image["index"] for image in json.loads(output.out)["images"]] == [3, 7]
    assert Path("a/b.png").read_bytes().startswith(PNG_SIGNATURE)


@pytest.fixture
def drawings(tmp_path, loaded):
    """Return a folder with the first three test images, each in another format and mode."""
    folder = tmp_path / "그림"
    folder.mkdir()
    drawn = [Image.fromarray(image) for image in loaded[1].x_test[:3]]
    drawn[0].save(folder / "a.png")
    drawn[1].convert("RGB").save(folder / "b.jpg", quality=100)
    drawn[2].convert("RGBA").save(folder / "c.webp", lossless=True)
    (folder / "notes.txt").touch()
    return folder


def test_files_are_seen_as_the_images_they_were_drawn_from(drawings, loaded):
    run, dataset, model = loaded
    files = prediction.find_files([drawings])
    assert [file.name for file in files] == ["a.png", "b.jpg", "c.webp"]
    images = prediction.read_images(files, shape=run.image_shape)
    found = prediction.predict_files(model, files, images, class_names=run.class_names)
    same = prediction.predict_test_images(model, dataset, range(3))
    assert found.labels is None
    assert found.class_names == tuple("0123456789")
    np.testing.assert_allclose(found.outputs, same.outputs, atol=0.02)


def test_inverted_files_are_read_with_black_and_white_swapped(drawings):
    files = prediction.find_files([drawings / "a.png"])
    light, dark = (
        prediction.read_images(files, shape=(8, 8), invert=invert) for invert in (False, True)
    )
    np.testing.assert_array_equal(light, 255 - dark)


def test_all_files_that_are_no_images_are_named(drawings):
    (drawings / "d.png").write_bytes(b"no image")
    files = [*prediction.find_files([drawings]), drawings / "absent.png"]
    with pytest.raises(RequestError, match="of 5 images 2 cannot be read") as caught:
        prediction.read_images(files, shape=(8, 8))
    assert "d.png" in str(caught.value)
    assert "absent.png" in str(caught.value)


def test_script_takes_files_and_a_folder(predict, finished, drawings):
    uri, result = finished
    code, output = predict(result.run_id, "그림/b.jpg", drawings.name, "--uri", uri)
    assert code == 0, output.err
    rows = [line.split() for line in output.out.splitlines()[-4:]]
    files = ["그림/b.jpg", "그림/a.png", "그림/b.jpg", "그림/c.webp"]
    assert [row[0] for row in rows] == files
    assert all(0.1 <= float(row[2]) <= 1 for row in rows)
    arguments = (str(drawings), "--invert", "--format", "json", "--uri", uri)
    code, output = predict(result.run_id, *arguments)
    assert code == 0, output.err
    found = json.loads(output.out)["images"]
    assert [Path(image["file"]).name for image in found] == ["a.png", "b.jpg", "c.webp"]
    assert found[0].keys() == {"file", "predicted", "probability", "probabilities"}


@pytest.mark.parametrize("name", ["notes.txt", "absent.png", "empty"])
def test_file_that_is_no_image_is_exit_code_2(predict, finished, drawings, name):
    (drawings / "empty").mkdir()
    uri, result = finished
    code, output = predict(result.run_id, str(drawings / name), "--uri", uri)
    assert code == 2
    assert str(drawings / name) in output.err
    assert len(output.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "option"), [(["a.png", "--images", "3"], "--images"), (["--invert"], "--invert")]
)
def test_files_and_test_images_exclude_each_other(predict, arguments, option):
    code, output = predict("0" * 32, *arguments)
    assert code == 2
    assert option in output.err


@pytest.mark.parametrize("arguments", [["--images", "0-360"], ["--picture", "/dev/null/a.png"]])
def test_wrong_request_is_one_line_and_exit_code_2(arguments, predict, finished):
    uri, result = finished
    code, output = predict(result.run_id, "--uri", uri, *arguments)
    assert code == 2
    assert output.err.startswith("error: ")
    assert len(output.err.splitlines()) == 1


def test_first_test_image_of_mnist_is_a_7(real_data, compose, tracking_uri, monkeypatch):
    monkeypatch.setenv("FITGAP_DATA_DIR", str(real_data))
    settings = compose(
        "experiment=mnist_dense_rmsprop_sparse",
        "architecture=dense_relu_100",  # the preset's 512 units take several times as long
        "training.epochs=1",
        f"tracking.uri={tracking_uri}",
    )
    result = experiment.run(experiment.plan(settings))
    run = recorded.open_run(result.run_id, uri=store.resolve_uri(tracking_uri))
    model = prediction.load_model(run)
    first = prediction.predict_test_images(model, prediction.load_dataset(run), [0])
    assert first.labels.tolist() == first.predicted.tolist() == [7]
    assert first.confidence[0] > 0.99


@pytest.mark.parametrize(("value", "fits"), [(255, True), (256, False), (300, False)])
def test_an_array_is_not_wrapped_to_what_the_network_takes(value, fits, loaded, tmp_path):
    run, _, _ = loaded
    x = np.full((2, *run.image_shape), value, np.uint16)
    np.save(tmp_path / "x.npy", x)
    if fits:
        same = prediction.predict_array(run, tmp_path / "x.npy").outputs
        np.save(tmp_path / "x.npy", x.astype(np.uint8))
        assert (prediction.predict_array(run, tmp_path / "x.npy").outputs == same).all()
    else:
        with pytest.raises(RequestError, match=f"takes uint8, which cannot hold .* {value}"):
            prediction.predict_array(run, tmp_path / "x.npy")


def test_images_are_bytes_in_every_form_that_training_reads_as_bytes(loaded, tmp_path):
    run, dataset, model = loaded
    x = dataset.x_test[:3]
    expected = prediction.outputs_of(model, x, task="classes")
    for form in (x.astype(float), x / 255.0, (x / 255.0).astype(np.float32), x.astype(np.int64)):
        np.save(tmp_path / "x.npy", form)
        np.testing.assert_array_equal(
            prediction.predict_array(run, tmp_path / "x.npy").outputs, expected
        )
    with pytest.raises(RequestError, match=r"cannot hold values from -0\.5 to"):
        prediction.outputs_of(model, x / 255.0 - 0.5, task="classes")


def test_inputs_are_found_beside_targets_and_must_be_finite(loaded, tmp_path):
    run, _, _ = loaded
    x = np.full((2, *run.image_shape), 7, np.uint8)
    np.savez(tmp_path / "both.npz", X_test=x, y_test=np.zeros(2))
    assert len(prediction.predict_array(run, tmp_path / "both.npz").outputs) == 2
    np.save(tmp_path / "nan.npy", np.where(np.arange(2)[:, None, None] == 1, np.nan, x))
    with pytest.raises(RequestError, match="finite numbers, but row 2 does not"):
        prediction.predict_array(run, tmp_path / "nan.npy")
