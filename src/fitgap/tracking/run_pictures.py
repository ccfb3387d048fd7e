"""Pictures of one run: learning curves, confusion matrix, predicted images.

matplotlib's figures are used without pyplot, so nothing global is kept and no window opens.
"""

import functools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from fitgap.training.loop import Epoch

if TYPE_CHECKING:
    from fitgap.prediction import Predictions

NAMED_SHARE = 0.02

# Okabe and Ito's palette: told apart with any colour vision, and by line style besides.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#777777"

# matplotlib's own font has no Korean, Chinese or Japanese; of these, what is installed helps out.
# A class name that no font can write is drawn as boxes, without a warning for each letter: the
# report writes it in the reader's fonts.
_OTHER_FONTS = (
    "Noto Sans CJK KR",
    "NanumGothic",
    "Malgun Gothic",
    "Apple SD Gothic Neo",
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Microsoft YaHei",
    "Arial Unicode MS",
)

MOST_IMAGES = 100  # of a picture of predictions: more are too small to see
IMAGES_PER_ROW = 5


@contextmanager
def _fonts_of_all_languages() -> Iterator[None]:
    """Draw with the fonts that are installed; matplotlib's own settings come back afterwards."""
    installed = {font.name for font in fontManager.ttflist}
    fonts = ["DejaVu Sans", *(font for font in _OTHER_FONTS if font in installed)]
    with rc_context({"font.sans-serif": fonts}), warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=r"Glyph \d+ .* missing from font", category=UserWarning
        )
        yield


@_fonts_of_all_languages()
def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG; seconds count here more than bytes, so it is packed lightly."""
    figure.savefig(path, dpi=100, pil_kwargs={"compress_level": 1})


def save_learning_curves(epochs: Sequence[Epoch], path: Path) -> None:
    """Draw loss and primary metric by epoch, the gap between training and validation shaded.

    Parameters
    ----------
    epochs
        The figures of a run, in order. Exact ones where there are any; the running averages
        besides, dotted.
    path
        Of the PNG.
    """
    exact = tuple(any(getattr(epoch, part) for epoch in epochs) for part in ("train", "val"))
    scores = next(
        iter(
            epochs[-1].scores[part]
            for part in ("val", "train", "running")
            if part in epochs[-1].scores
        )
    )
    primary = next((name for name in scores if name != "loss"), "loss")
    figure, panels = _empty_curves(*exact, primary)
    number = [epoch.number for epoch in epochs]
    for quantity, panel in zip(("loss", primary), panels, strict=True):
        values = {part: [_value(epoch, part, quantity) for epoch in epochs] for part in panel.lines}
        for part, line in panel.lines.items():
            line.set_data(number, values[part])
        if panel.gap is not None:
            panel.gap.set_data(number, values["train"], values["val"])
        panel.axes.relim()
        panel.axes.autoscale_view()
    save(figure, path)


def _value(epoch: Epoch, part: str, quantity: str) -> float:
    scores = epoch.scores.get(part)
    return np.nan if scores is None else scores.get(quantity, np.nan)


@dataclass(frozen=True)
class _Panel:
    axes: Axes
    lines: Mapping[str, Line2D]
    gap: FillBetweenPolyCollection | None


# Making axes and laying out their text takes several times as long as drawing the data, and a
# sweep's runs differ in the data alone. So a process makes each kind of figure once.
@functools.cache
def _empty_curves(has_train: bool, has_val: bool, primary: str) -> tuple[Figure, Sequence[_Panel]]:
    figure = Figure(figsize=(8, 3.2))
    # Margins by hand: matplotlib's layout engines draw everything twice to find them.
    figure.subplots_adjust(left=0.08, right=0.98, bottom=0.15, top=0.96, wspace=0.22)
    panels = []
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", primary), strict=True):
        lines = {"running": _line(axes, ":", color=GREY, label="running (Keras)")}
        if has_train:
            lines["train"] = _line(axes, "o-", color=BLUE, markersize=3, label="train")
        if has_val:
            lines["val"] = _line(axes, "s--", color=ORANGE, markersize=3, label="validation")
        gap = None
        if has_train and has_val:
            gap = axes.fill_between([], [], color=ORANGE, alpha=0.15, label="gap")
        axes.set(xlabel="epoch", ylabel=quantity)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        panels.append(_Panel(axes, lines, gap))
    panels[-1].axes.legend(frameon=False, fontsize=8, loc="lower right")
    return figure, panels


def _line(axes: Axes, style: str, **properties: Any) -> Line2D:
    (line,) = axes.plot([], [], style, **properties)
    return line


@_fonts_of_all_languages()
def save_confusion_matrix(
    counts: NDArray[np.int64], class_names: Sequence[str], path: Path
) -> None:
    """Draw how many images of each class were taken for which.

    Cells with less than `NAMED_SHARE` of their row's images stay without a number.

    Parameters
    ----------
    counts
        Shape (num_classes, num_classes); rows are true classes, columns predicted ones.
    class_names
        One per class.
    path
        Of the PNG.
    """
    canvas, image, background = _empty_matrix(tuple(class_names))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    canvas.restore_region(background)
    image.set_data(shares)
    image.axes.draw_artist(image)
    # A number in every cell would hide those that matter, and text is what takes the time.
    for row, column in np.argwhere(shares >= NAMED_SHARE):
        number = image.axes.text(
            column,
            row,
            str(counts[row, column]),
            ha="center",
            va="center",
            fontsize=8,
            color="white" if shares[row, column] > 0.5 else "black",
        )
        image.axes.draw_artist(number)
        number.remove()
    pixels = np.asarray(canvas.buffer_rgba())
    PIL.Image.fromarray(pixels).convert("RGB").save(path, compress_level=1)


@functools.lru_cache(maxsize=4)
def _empty_matrix(class_names: tuple[str, ...]) -> tuple[Any, AxesImage, Any]:
    """Return the canvas, its image of shares and what is drawn around it."""
    size = 2.0 + 0.42 * len(class_names)
    margin = 0.35 + 0.075 * max(map(len, class_names))
    figure = Figure(figsize=(size, size), dpi=100)
    figure.subplots_adjust(left=margin / size, bottom=margin / size, right=0.97, top=0.97)
    canvas: Any = FigureCanvasAgg(figure)  # matplotlib's canvases have no types
    axes = figure.subplots()
    num_classes = len(class_names)
    image = axes.imshow(np.zeros((num_classes, num_classes)), cmap="Blues", vmin=0, vmax=1)
    ticks = range(num_classes)
    axes.set_xticks(ticks, class_names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(ticks, class_names)
    axes.set(xlabel="predicted", ylabel="true")
    canvas.draw()
    return canvas, image, canvas.copy_from_bbox(figure.bbox)


def predictions(predicted: "Predictions") -> Figure:
    """Draw images, as the network got them, with the class it sees and, if known, the true one.

    Parameters
    ----------
    predicted
        The first `MOST_IMAGES` of them are drawn, `IMAGES_PER_ROW` in a row.
    """
    assert predicted.images is not None  # rows have no picture
    count = min(len(predicted.sources), MOST_IMAGES)
    columns = min(count, IMAGES_PER_ROW)
    rows = -(-count // columns)
    figure = Figure(figsize=(1.9 * columns, 2.2 * rows))
    # Room above each image for its two lines, in shares of an image's height.
    figure.subplots_adjust(
        left=0.02, right=0.98, bottom=0.1 / (2.2 * rows), top=1 - 0.5 / (2.2 * rows), hspace=0.35
    )
    all_axes = figure.subplots(rows, columns, squeeze=False).flat
    for i, axes in enumerate(all_axes):
        axes.axis("off")
        if i >= count:
            continue
        source = predicted.sources[i]
        said = f"{predicted.class_names[predicted.predicted[i]]}, p = {predicted.confidence[i]:.4f}"
        if predicted.labels is None:
            colour, shown_as, title = "black", "gray", f"{said}\n{_short(Path(str(source)).name)}"
        else:
            is_right = predicted.predicted[i] == predicted.labels[i]
            colour, shown_as = (BLUE if is_right else ORANGE), "gray_r"
            true = predicted.class_names[predicted.labels[i]]
            title = f"{'✓' if is_right else '✗'} {said}\nimage {source}, true: {true}"
        pixels = np.atleast_2d(predicted.images[i].squeeze())  # a vector is a strip
        scale = {"vmin": 0, "vmax": 255} if pixels.dtype == np.uint8 else {}
        axes.imshow(pixels, cmap=shown_as, **scale)
        axes.set_title(title, color=colour, fontsize=8)
    return figure


def _short(name: str, *, most: int = 24) -> str:
    return name if len(name) <= most else f"{name[: most // 2]}…{name[-most // 2 + 1 :]}"
