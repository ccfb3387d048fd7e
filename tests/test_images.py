"""An image file of any kind becomes the array that a network takes, or one line that names it."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fitgap.data.images import find_images, read_image
from fitgap.errors import RequestError

# Black, grey, white, red: grey of red is 0.299 * 255 = 76.2.
GREYS = [0, 100, 255, 76]
RGB = np.array([[[0, 0, 0], [100, 100, 100]], [[255, 255, 255], [255, 0, 0]]], np.uint8)


@pytest.fixture
def save(tmp_path):
    """Return a function that saves an image and returns its path."""

    def save_image(image, name="image.png", **options):
        path = tmp_path / name
        image.save(path, **options)
        return path

    return save_image


def image_in(mode):
    colour = Image.fromarray(RGB)
    if mode == "I;16":
        return Image.fromarray(np.array([[0, 25700], [65535, 19532]], np.uint16))
    if mode == "P":
        return colour.quantize(4)
    if mode == "RGBA":
        return Image.fromarray(np.dstack([RGB, np.full((2, 2), 255, np.uint8)]))
    return colour.convert(mode)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "I;16"])
@pytest.mark.parametrize("shape", [(2, 2), (2, 2, 1)])
def test_every_mode_becomes_grey(save, mode, shape):
    array = read_image(save(image_in(mode)), shape=shape)
    assert array.dtype == np.uint8
    assert array.shape == shape
    assert array.ravel().tolist() == GREYS


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colour_stays_where_the_network_takes_it(save, mode):
    np.testing.assert_array_equal(read_image(save(image_in(mode)), shape=(2, 2, 3)), RGB)


def test_grey_becomes_three_equal_channels(save):
    array = read_image(save(image_in("I;16")), shape=(2, 2, 3))
    np.testing.assert_array_equal(array, np.repeat(np.reshape(GREYS, (2, 2, 1)), 3, axis=2))


def test_one_bit_is_black_and_white(save):
    drawn = Image.fromarray(np.array([[True, False]]))
    assert read_image(save(drawn), shape=(1, 2)).tolist() == [[255, 0]]


def test_transparent_parts_are_white_and_half_transparent_ones_half_so(save):
    black = np.zeros((1, 3, 4), np.uint8)
    black[0, :, 3] = [0, 51, 255]
    assert read_image(save(Image.fromarray(black)), shape=(1, 3)).tolist() == [[255, 204, 0]]


def test_colour_declared_transparent_is_white(save):
    path = save(Image.fromarray(np.array([[0, 9]], np.uint8)), transparency=0)
    assert read_image(path, shape=(1, 2)).tolist() == [[255, 9]]


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp"])
def test_formats_are_known_by_their_bytes_not_by_their_names(save, suffix):
    drawn = Image.fromarray(np.full((16, 16), 200, np.uint8))
    path = save(drawn, f"image.{suffix}")
    unnamed = path.rename(path.with_name("이미지 without suffix"))
    assert np.abs(read_image(unnamed, shape=(16, 16)).astype(int) - 200).max() <= 2


def test_smaller_means_averaged_not_sampled(save):
    # A fine chequerboard: a sample of its points would be black or white.
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    small = read_image(save(Image.fromarray(board)), shape=(8, 8))
    assert np.abs(small.astype(int) - 127.5).max() <= 3


def test_the_whole_image_is_kept_height_before_width(save):
    # Left half black, right half white, twice as wide as high.
    halves = np.repeat(np.array([[0, 255]], np.uint8), 20, axis=1).repeat(20, axis=0)
    array = read_image(save(Image.fromarray(halves)), shape=(4, 6))
    assert array.shape == (4, 6)
    assert (array[:, :2] == 0).all()
    assert (array[:, 4:] == 255).all()


def test_photograph_is_turned_as_its_camera_was_held(save):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise by a quarter to see it upright
    drawn = Image.fromarray(np.array([[0, 0], [255, 255]], np.uint8))
    upright = read_image(save(drawn, exif=exif), shape=(2, 2))
    assert upright.tolist() == [[255, 0], [255, 0]]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"", "is not an image"),
        (b"GIF89a but not really", "is not an image"),
        (b"\x89PNG\r\n\x1a\n", "is not an image"),
    ],
)
def test_file_that_is_no_image_is_a_wrong_request_that_names_it(tmp_path, content, said):
    path = tmp_path / "그림.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RequestError, match=said) as caught:
        read_image(path, shape=(2, 2))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def encoded(suffix):
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(buffer, suffix)
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", ["png", "jpeg", "webp", "bmp"])
def test_half_a_file_is_a_wrong_request(tmp_path, suffix):
    path = tmp_path / "half"
    whole = encoded(suffix)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RequestError, match="half"):
        read_image(path, shape=(2, 2))


@given(
    suffix=st.sampled_from(["png", "jpeg", "webp", "bmp"]),
    at=st.floats(0, 0.999),
    value=st.binary(min_size=1, max_size=4),
)
def test_damaged_bytes_give_an_array_or_a_wrong_request(tmp_path_factory, suffix, at, value):
    damaged = bytearray(encoded(suffix))
    place = int(at * len(damaged))
    damaged[place : place + len(value)] = value
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(damaged)
    said = ""
    try:
        array = read_image(path, shape=(4, 4, 3))
    except RequestError as error:
        said = str(error)
    assert str(path) in said or array.shape == (4, 4, 3)


@pytest.mark.parametrize("shape", [(2, 2, 2), (2, 2, 4), (2, 2, 3, 1)])
def test_shape_that_no_file_gives_is_a_wrong_request(save, shape):
    with pytest.raises(RequestError, match="grey"):
        read_image(save(image_in("L")), shape=shape)


def test_folder_offers_its_own_images_in_the_order_of_their_names(tmp_path):
    for name in ("나.JPG", "b.png", "a.webp", "notes.txt", ".hidden.png", "within/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.name for path in find_images(tmp_path)] == ["a.webp", "b.png", "나.JPG"]
    assert [path.name for path in find_images(tmp_path / "within")] == ["c.png"]


def test_folder_without_images_is_a_wrong_request(tmp_path):
    with pytest.raises(RequestError, match="holds no image"):
        find_images(tmp_path)
    with pytest.raises(RequestError, match="cannot be read"):
        find_images(tmp_path / "absent")
