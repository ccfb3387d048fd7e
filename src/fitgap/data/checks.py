"""What can be wrong with labelled images before any network sees them.

Exact duplicates are images of the same bytes. One that lies in two partitions is leakage: the
network is tested on what it learned. Near duplicates, such as the same photograph saved twice,
are reported but are no error, since a rule cannot tell them from images that are just alike.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fitgap.data.datasets import Dataset, Images
from fitgap.data.disk_arrays import blocks, select
from fitgap.data.splits import Split

# Two images are near duplicates if their thumbnails of at most 8 x 8 cells differ by no more than
# this many grey levels of 255, root mean square over cells and channels. An image that JPEG saved
# anew differs by less than 1; see docs/DATA.md for what the rule finds in known datasets.
THUMBNAIL_SIDE = 8
NEAR_LEVELS = 2.0
NEAR_RULE = (
    f"thumbnails of {THUMBNAIL_SIDE} x {THUMBNAIL_SIDE} cells differ by at most {NEAR_LEVELS:g} "
    "of 255 levels (root mean square)"
)
_MOST_EXAMPLES = 5
_NEIGHBOURS = 8  # as many of an image's nearest are looked at
PARTITIONS = ("train", "val", "test")


@dataclass(frozen=True)
class Matches:
    """Images that are equal, or nearly so, to another one.

    Attributes
    ----------
    within
        Per partition: how many images are like an earlier one of the same partition.
    across
        Per pair such as ``test in train``: how many images of the first partition are like one
        of the second.
    conflicting
        How many are like one that has another label.
    examples
        A few pairs, those across partitions first: what each is called.
    """

    within: Mapping[str, int]
    across: Mapping[str, int]
    conflicting: int
    examples: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class PartitionFacts:
    """One partition in figures.

    Attributes
    ----------
    samples
        Number of images.
    minimum, maximum, mean
        Over all values; null where there is no image.
    class_counts
        Images per class name.
    """

    samples: int
    minimum: float | None
    maximum: float | None
    mean: float | None
    class_counts: Mapping[str, int]


@dataclass(frozen=True)
class DataFindings:
    """All that the checks found.

    Attributes
    ----------
    dataset, source
        As of `Dataset`.
    image_shape, value_type
        Of one image.
    partitions
        By name: train, val, test.
    constant_values
        How many pixels (or features) are the same in every training image.
    exact
        Images of the same bytes.
    near
        See `NEAR_RULE`; None for feature vectors, which have no thumbnail.
    notes
        What a person should know of how the data were read, and before training.
    """

    dataset: str
    source: str
    image_shape: Sequence[int]
    value_type: str
    partitions: Mapping[str, PartitionFacts]
    constant_values: int
    exact: Matches
    near: Matches | None
    notes: Sequence[str] = ()


def find_leakage(dataset: Dataset, split: Split) -> str:
    """Say in a phrase which images lie in two partitions; empty if none does.

    Rows of features may well repeat, above all those of few categories: `notes` counts them.

    Parameters
    ----------
    dataset, split
        The data and how the training part is divided.
    """
    if _is_table(dataset):
        return ""
    owner = _owner(dataset, split)
    matches = _exact(dataset, owner, _groups(dataset))
    found = [f"{count} {pair}" for pair, count in matches.across.items() if count]
    if not found:
        return ""
    first, second = matches.examples[0]
    return f"{', '.join(found)} (first: {first} is {second})"


# What makes a note of nearly equal rows: of the unseen ones at least this share have some rows of
# the training partition about them and then, for a factor of that distance, none. Rows drawn
# independently do so rarely (at most 1 in 4 ** features for the nearest one).
_ALIKE_SHARE, _ALIKE_JUMP, _ALIKE_FEATURES = 0.2, 4.0, 4
_ALIKE_ROWS, _ALIKE_QUERIES = 20_000, 500  # looked at, at most
_FEW_IMAGES = 20_000


def notes(dataset: Dataset, split: Split) -> tuple[str, ...]:
    """Say what a person should know before training on data of her own, a line each.

    Parameters
    ----------
    dataset, split
        The data and how the training part is divided.
    """
    if not dataset.is_own:
        return ()
    found = []
    if dataset.task == "classes":
        counts = np.bincount(dataset.y_train[split.train], minlength=dataset.num_classes)
        share = counts.max() / counts.sum()
        if share > 0.5:
            name = dataset.class_names[counts.argmax()]
            found.append(
                f"the most frequent class, {name!r}, is {share:.0%} of the training partition: "
                f"{share:.2f} is the baseline of accuracy"
            )
    owner, groups = _owner(dataset, split), _groups(dataset)
    if _is_table(dataset):
        exact = _exact(dataset, owner, groups)
        repeated = [f"{count} {pair}" for pair, count in exact.across.items() if count]
        if repeated:
            found.append(f"rows with the same values (duplicates): {', '.join(repeated)}")
        if exact.conflicting:
            found.append(
                f"{exact.conflicting} rows have the same values as a row with another label"
            )
        if dataset.train_groups is None and (share := _alike_share(dataset, split)):
            found.append(
                f"{share:.0%} of the unseen rows are nearly alike to some rows of the training "
                "partition and far from all others; if such rows belong together (one patient, "
                "one recording), split.group=COLUMN keeps them in one partition"
            )
    elif _is_image(dataset) and len(owner) <= _FEW_IMAGES:
        near = _near(dataset, owner, groups)
        alike = [f"{count} {pair}" for pair, count in near.across.items() if count]
        if alike:
            found.append(f"near duplicates: {', '.join(alike)}; see the data report")
    return tuple(found)


# Parts of the same data differ less: dark images from bright ones about fivefold. 0 to 1 against
# 0 to 255 is 255-fold.
_OTHER_SCALE = 50.0


def find_other_scale(dataset: Dataset, split: Split) -> str:
    """Say in a phrase which part has values of another type or scale than the training part.

    Images are compared as a whole; of tables, the feature in the middle of all.

    Parameters
    ----------
    dataset, split
        The data and how the training part is divided.
    """
    if dataset.x_train.dtype != dataset.x_test.dtype:
        return f"test is {dataset.x_test.dtype}, train {dataset.x_train.dtype}"
    if not np.issubdtype(dataset.x_train.dtype, np.number):
        return ""
    train = _mean_sizes(select(dataset.x_train, split.train), per_feature=_is_table(dataset))
    others = {"val": select(dataset.x_train, split.val), "test": dataset.x_test}
    for name, x in others.items():
        if not len(x):
            continue
        sizes = _mean_sizes(x, per_feature=_is_table(dataset))
        varies = (sizes > 0) & (train > 0)
        if not varies.any():
            continue
        ratio = float(np.median(sizes[varies] / train[varies]))
        if not 1 / _OTHER_SCALE <= ratio <= _OTHER_SCALE:
            times = f"{ratio:.3g}" if ratio > 1 else f"1/{1 / ratio:.3g}"
            return f"the values of {name} are {times} times those of train"
    return ""


def _mean_sizes(x: Images, *, per_feature: bool) -> NDArray[np.float64]:
    """Return the mean of the absolute values: of each feature, or one of all."""
    total: NDArray[np.float64] = np.zeros(x.shape[1] if per_feature else 1)
    for block in blocks(x):
        total += np.sum(np.abs(block, dtype=np.float64), axis=0 if per_feature else None)
    return total / len(x)


def _is_table(dataset: Dataset) -> bool:
    return len(dataset.image_shape) == 1


def _is_image(dataset: Dataset) -> bool:
    return dataset.value_type == "uint8" and len(dataset.image_shape) > 1


def _alike_share(dataset: Dataset, split: Split) -> float:
    """Return the share of unseen rows with near copies among the training rows; 0 if small."""
    random = np.random.default_rng(0)
    seen = np.nan_to_num(np.asarray(select(dataset.x_train, split.train), np.float64))
    unseen = np.concatenate(
        [np.asarray(select(dataset.x_train, split.val)), np.asarray(dataset.x_test[:])]
    ).astype(np.float64)
    unseen = np.nan_to_num(unseen)
    seen = random.permutation(seen)[:_ALIKE_ROWS]
    unseen = random.permutation(unseen)[:_ALIKE_QUERIES]
    spread = seen.std(axis=0)
    varies = spread > 0
    if varies.sum() < _ALIKE_FEATURES or len(seen) < 20 or len(np.unique(seen, axis=0)) < 20:
        return 0.0
    seen, unseen = seen[:, varies] / spread[varies], unseen[:, varies] / spread[varies]
    squares = (unseen**2).sum(axis=1)[:, None] + (seen**2).sum(axis=1) - 2 * unseen @ seen.T
    distances = np.sqrt(np.maximum(squares, 0))
    typical = np.median(distances)
    nearest = np.sort(distances, axis=1)[:, : max(2, len(seen) // 4)]
    nearest = np.maximum(nearest, 1e-6 * typical)  # equal rows are counted as duplicates
    is_alike = ((nearest[:, 1:] > _ALIKE_JUMP * nearest[:, :-1]).any(axis=1)) & (
        nearest[:, 0] < typical / _ALIKE_JUMP
    )
    is_equal = nearest[:, 0] < 1e-5 * typical
    share = float((is_alike & ~is_equal).mean())
    return share if share >= _ALIKE_SHARE else 0.0


def check(dataset: Dataset, split: Split) -> DataFindings:
    """Run all checks.

    Parameters
    ----------
    dataset, split
        The data and how the training part is divided.
    """
    owner = _owner(dataset, split)
    groups = _groups(dataset)
    return DataFindings(
        dataset=dataset.name,
        source=dataset.source,
        image_shape=list(dataset.image_shape),
        value_type=dataset.value_type,
        partitions=_partition_facts(dataset, owner),
        constant_values=_count_constant(select(dataset.x_train, split.train)),
        exact=_exact(dataset, owner, groups),
        near=_near(dataset, owner, groups) if _is_image(dataset) else None,
        notes=[*dataset.notes, *notes(dataset, split)],
    )


# Below, images are numbered from the first of the training part to the last of the test part.
# ``owner`` holds each one's partition (its place in `PARTITIONS`), ``partners`` of shape (n, 4)
# the first image of each partition that it is like, or -1. The last place is of training images
# that ``split.train_fraction`` leaves out: they are of no partition, and nothing is said of them.
Numbers = NDArray[np.int64]
LEFT_OUT = len(PARTITIONS)


def _owner(dataset: Dataset, split: Split) -> Numbers:
    owner = np.full(len(dataset.y_train) + len(dataset.y_test), LEFT_OUT)
    owner[len(dataset.y_train) :] = PARTITIONS.index("test")
    owner[split.train] = PARTITIONS.index("train")
    owner[split.val] = PARTITIONS.index("val")
    return owner


def _summary(
    dataset: Dataset, owner: Numbers, partners: Numbers, *, conflicting: NDArray[np.bool_]
) -> Matches:
    own = partners[np.arange(len(owner)), owner]
    is_used = owner != LEFT_OUT
    within = (own >= 0) & (own < np.arange(len(owner))) & is_used
    across = {
        f"{unseen} in {seen}": (owner == PARTITIONS.index(unseen))
        & (partners[:, PARTITIONS.index(seen)] >= 0)
        for unseen, seen in (("val", "train"), ("test", "train"), ("test", "val"))
    }
    pairs = [
        (int(image), int(partners[image, PARTITIONS.index(pair.split()[-1])]))
        for pair, alike in across.items()
        for image in np.flatnonzero(alike)[:_MOST_EXAMPLES]
    ]
    pairs += [(int(image), int(own[image])) for image in np.flatnonzero(within)[:_MOST_EXAMPLES]]
    return Matches(
        within={name: int(within[owner == i].sum()) for i, name in enumerate(PARTITIONS)},
        across={pair: int(alike.sum()) for pair, alike in across.items()},
        conflicting=int(conflicting[is_used].sum()),
        examples=[(_name(dataset, a), _name(dataset, b)) for a, b in pairs[:_MOST_EXAMPLES]],
    )


def _name(dataset: Dataset, image: int) -> str:
    n_train = len(dataset.y_train)
    names, part, index = (
        (dataset.train_names, "x_train", image)
        if image < n_train
        else (dataset.test_names, "x_test", image - n_train)
    )
    return names[index] if names else f"{part}[{index}]"


def _groups(dataset: Dataset) -> Numbers:
    """Return a number for each image, the same for images of the same bytes."""
    digests = [
        hashlib.blake2b(row, digest_size=16).digest()
        for x in (dataset.x_train, dataset.x_test)
        for block in blocks(x)
        for row in block
    ]
    halves = np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)
    order = np.lexsort(halves.T)
    is_new = np.r_[False, (halves[order][1:] != halves[order][:-1]).any(axis=1)]
    groups = np.empty(len(order), np.int64)
    groups[order] = np.cumsum(is_new)
    return groups


def _exact(dataset: Dataset, owner: Numbers, groups: Numbers) -> Matches:
    partners = np.full((len(groups), LEFT_OUT + 1), -1)
    for number in range(len(PARTITIONS)):
        members = np.flatnonzero(owner == number)
        first = np.full(groups.max() + 1, -1)
        first[groups[members][::-1]] = members[::-1]  # the last assignment stays: the first image
        partners[:, number] = first[groups]
    partners[partners == np.arange(len(groups))[:, None]] = -1  # no image is its own partner
    labels = _numbered_labels(dataset)
    lowest, highest = np.full(groups.max() + 1, labels.max()), np.zeros_like(first)
    np.minimum.at(lowest, groups, labels)
    np.maximum.at(highest, groups, labels)
    conflicting = (lowest != highest)[groups]
    return _summary(dataset, owner, partners, conflicting=conflicting)


def _near(dataset: Dataset, owner: Numbers, groups: Numbers) -> Matches:
    """Find images that are alike but not equal, among each image's nearest neighbours.

    Images of equal bytes are looked at once, by the first of them.
    """
    from scipy.spatial import cKDTree

    thumbnails = np.concatenate([_thumbnails(dataset.x_train), _thumbnails(dataset.x_test)])
    limit = NEAR_LEVELS * thumbnails.shape[1] ** 0.5 * (1 + 1e-6)  # float32 rounds the distances
    _, firsts = np.unique(groups, return_index=True)
    points = thumbnails[firsts] - thumbnails.mean(axis=0)
    # Turned so that the axes along which images differ most come apart: the tree splits by axes.
    _, axes = np.linalg.eigh(points.T @ points)
    points = points @ axes[:, ::-1]
    tree = cKDTree(points)
    _, nearest = tree.query(points, k=_NEIGHBOURS + 1, distance_upper_bound=limit)
    image, place = np.nonzero(nearest < len(points))  # the tree's word for none is their number
    other = nearest[image, place]
    image, other = firsts[image[image != other]], firsts[other[image != other]]
    none = len(groups)
    found = np.full((len(groups), LEFT_OUT + 1), none)
    np.minimum.at(found, (image, owner[other]), other)
    labels = _numbered_labels(dataset)
    conflicting = np.zeros(len(groups), np.bool_)
    conflicting[image[labels[image] != labels[other]]] = True
    return _summary(dataset, owner, np.where(found == none, -1, found), conflicting=conflicting)


def _thumbnails(x: Images) -> NDArray[np.float32]:
    """Return mean values over at most 8 x 8 cells per channel; shape (n, cells * channels)."""
    found = []
    for block in blocks(x):
        cells = block.astype(np.float32)
        for axis in (1, 2):
            size = cells.shape[axis]
            count = min(THUMBNAIL_SIDE, size)
            edges = np.arange(count) * size // count
            widths = np.diff(np.r_[edges, size]).astype(np.float32)
            shape = [-1 if i == axis else 1 for i in range(cells.ndim)]
            cells = np.add.reduceat(cells, edges, axis=axis) / widths.reshape(shape)
        found.append(cells.reshape(len(cells), -1))
    return np.concatenate(found)


def _partition_facts(dataset: Dataset, owner: Numbers) -> dict[str, PartitionFacts]:
    labels = np.concatenate([dataset.y_train, dataset.y_test])
    flat = (b.reshape(len(b), -1) for x in (dataset.x_train, dataset.x_test) for b in blocks(x))
    rows = [(b.min(axis=1), b.max(axis=1), b.mean(axis=1, dtype=np.float64)) for b in flat]
    minima, maxima, means = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    facts = {}
    for number, name in enumerate(PARTITIONS):
        mine = owner == number
        counts = _counts(labels[mine], dataset)
        facts[name] = PartitionFacts(
            samples=int(mine.sum()),
            minimum=float(minima[mine].min()) if mine.any() else None,
            maximum=float(maxima[mine].max()) if mine.any() else None,
            mean=float(means[mine].mean()) if mine.any() else None,
            class_counts=counts,
        )
    return facts


def _numbered_labels(dataset: Dataset) -> Numbers:
    """Return a number per target, the same for equal targets."""
    labels = np.concatenate([dataset.y_train, dataset.y_test])
    if dataset.task == "classes":
        return labels
    return np.unique(labels, axis=0, return_inverse=True)[1].reshape(-1)


def _counts(labels: NDArray[np.int64], dataset: Dataset) -> dict[str, int]:
    """Return how often each class, or label, occurs; quantities have none."""
    if dataset.task == "numbers":
        return {}
    counts = (
        np.bincount(labels, minlength=dataset.num_classes)
        if dataset.task == "classes"
        else labels.sum(axis=0, dtype=np.int64)
    )
    return dict(zip(dataset.class_names, counts.tolist(), strict=True))


def _count_constant(x: Images) -> int:
    """Count the pixels, or features, that are the same in every image."""
    bounds = [(block.min(axis=0), block.max(axis=0)) for block in blocks(x)]
    lows, highs = (np.stack(parts) for parts in zip(*bounds, strict=True))
    return int((lows.min(axis=0) == highs.max(axis=0)).sum())
