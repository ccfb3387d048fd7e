"""Which classes a record may name: those of Keras and fitgap that compute, and nothing else.

What a list allows is known; what a list forbids is never all there is. So each class of Keras
stands here by its name. Those that run given code or read and write files are not among them
(Lambda, TFSMLayer, TorchModuleWrapper, FlaxLayer, JaxLayer; CSVLogger, ModelCheckpoint,
TensorBoard, ...).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from fitgap.config.modules import is_installed, offered_names, split_target
from fitgap.config.targets import locate
from fitgap.errors import RequestError
from fitgap.trust.text import MOST_SHOWN, shown

MOST_NODES = 20_000  # of one record; a network of a thousand layers has fewer
MOST_DEPTH = 64

Setting = tuple[str, str, Any]  # dotted place, last name of it, value

_LAYERS = """
Activation ActivityRegularization AdaptiveAveragePooling1D AdaptiveAveragePooling2D
AdaptiveAveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D Add
AdditiveAttention AlphaDropout Attention AugMix AutoContrast Average AveragePooling1D
AveragePooling2D AveragePooling3D AvgPool1D AvgPool2D AvgPool3D BatchNormalization Bidirectional
CategoryEncoding CenterCrop Concatenate ContrastLimitedAdaptiveHistogramEqualization Conv1D
Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D ConvLSTM3D
Convolution1D Convolution1DTranspose Convolution2D Convolution2DTranspose Convolution3D
Convolution3DTranspose Cropping1D Cropping2D Cropping3D CutMix Dense DepthwiseConv1D
DepthwiseConv2D Discretization Dot Dropout ELU EinsumDense Embedding Equalization Flatten GRU
GRUCell GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D
GlobalAveragePooling3D GlobalAvgPool1D GlobalAvgPool2D GlobalAvgPool3D GlobalMaxPool1D
GlobalMaxPool2D GlobalMaxPool3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D
GroupNormalization GroupQueryAttention HashedCrossing Hashing Identity InputLayer InputSpec
IntegerLookup LSTM LSTMCell LayerNormalization LeakyReLU Masking MaxNumBoundingBoxes MaxPool1D
MaxPool2D MaxPool3D MaxPooling1D MaxPooling2D MaxPooling3D Maximum MelSpectrogram Minimum MixUp
MultiHeadAttention Multiply Normalization PReLU Permute Pipeline RMSNormalization RNN RandAugment
RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop
RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale RandomHue
RandomInvert RandomPerspective RandomPosterization RandomRotation RandomSaturation
RandomSharpness RandomShear RandomTranslation RandomZoom ReLU RepeatVector Rescaling Reshape
Resizing ReversibleEmbedding STFTSpectrogram SeparableConv1D SeparableConv2D
SeparableConvolution1D SeparableConvolution2D SimpleRNN SimpleRNNCell Softmax Solarization
SpatialDropout1D SpatialDropout2D SpatialDropout3D SpectralNormalization StackedRNNCells
StringLookup Subtract TextVectorization TimeDistributed UnitNormalization UpSampling1D
UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
"""
_OPTIMIZERS = """
Adadelta Adafactor Adagrad Adam AdamW Adamax Ftrl Lamb Lion LossScaleOptimizer Muon Nadam RMSprop
SGD ScheduleFreeAdamW
"""
_SCHEDULES = """
CosineDecay CosineDecayRestarts ExponentialDecay InverseTimeDecay PiecewiseConstantDecay
PolynomialDecay
"""
_LOSSES = """
BinaryCrossentropy BinaryFocalCrossentropy CTC CategoricalCrossentropy
CategoricalFocalCrossentropy CategoricalGeneralizedCrossEntropy CategoricalHinge Circle
CosineSimilarity Dice Hinge Huber KLDivergence LogCosh MeanAbsoluteError
MeanAbsolutePercentageError MeanSquaredError MeanSquaredLogarithmicError Poisson
SparseCategoricalCrossentropy SquaredHinge Tversky
"""
_METRICS = """
AUC Accuracy BinaryAccuracy BinaryCrossentropy BinaryIoU CategoricalAccuracy
CategoricalCrossentropy CategoricalHinge ConcordanceCorrelation CosineSimilarity F1Score
FBetaScore FalseNegatives FalsePositives Hinge IoU KLDivergence LogCoshError Mean
MeanAbsoluteError MeanAbsolutePercentageError MeanIoU MeanSquaredError
MeanSquaredLogarithmicError OneHotIoU OneHotMeanIoU PearsonCorrelation Poisson Precision
PrecisionAtRecall R2Score Recall RecallAtPrecision RootMeanSquaredError
SensitivityAtSpecificity SparseCategoricalAccuracy SparseCategoricalCrossentropy
SparseTopKCategoricalAccuracy SpecificityAtSensitivity SquaredHinge Sum TopKCategoricalAccuracy
TrueNegatives TruePositives
"""
_CALLBACKS = "EarlyStopping ReduceLROnPlateau SwapEMAWeights TerminateOnNaN"
_INITIALIZERS = """
Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer LecunNormal
LecunUniform Ones Orthogonal OrthogonalInitializer RandomNormal RandomUniform STFT
STFTInitializer TruncatedNormal VarianceScaling Zeros
"""
_REGULARIZERS = "L1 L1L2 L2 OrthogonalRegularizer"
_CONSTRAINTS = "MaxNorm MinMaxNorm NonNeg UnitNorm"

# Scorers, which compute a figure of arrays.
_SCORERS = """
accuracy_score average_precision_score balanced_accuracy_score brier_score_loss
cohen_kappa_score d2_absolute_error_score explained_variance_score f1_score fbeta_score
hamming_loss jaccard_score log_loss matthews_corrcoef max_error mean_absolute_error
mean_absolute_percentage_error mean_squared_error median_absolute_error precision_score r2_score
recall_score roc_auc_score root_mean_squared_error top_k_accuracy_score zero_one_loss
"""

ALLOWED = {
    "fitgap.evaluation.calibration": frozenset(["expected_calibration_error", "label_accuracy"]),
    "fitgap.models": frozenset(["dense", "sequential"]),
    "fitgap.models.sequences": frozenset(["average", "convolution", "transformer"]),
    "sklearn.metrics": frozenset(_SCORERS.split()),
    "keras.layers": frozenset(_LAYERS.split()),
    "keras.optimizers": frozenset(_OPTIMIZERS.split()),
    "keras.optimizers.schedules": frozenset(_SCHEDULES.split()),
    "keras.losses": frozenset(_LOSSES.split()),
    "keras.metrics": frozenset(_METRICS.split()),
    "keras.callbacks": frozenset(_CALLBACKS.split()),
    "keras.initializers": frozenset(_INITIALIZERS.split()),
    "keras.regularizers": frozenset(_REGULARIZERS.split()),
    "keras.constraints": frozenset(_CONSTRAINTS.split()),
}

# Settings by which Keras's layers read a file, the layers that have one, and Keras's own way to
# name a class in a setting.
_FILES = ("vocabulary", "idf_weights")
_READ_FILES = ("IntegerLookup", "StringLookup", "TextVectorization")
_FREE_TEXT = ("name", "architecture.title")
_SERIALIZED = ("class_name", "registered_name", "module")


def is_allowed(target: str, *, modules: Collection[str] = (), depth: int = 0) -> bool:
    """Tell whether a record may name a class or function.

    Parameters
    ----------
    target
        Its dotted name.
    modules
        Modules besides: the project's own at the recorded digest, and those that a person
        trusts by name. What stands below one is trusted with it, if it is their own: what they
        import from elsewhere is not (``nets.os.system``), nor what their classes have it as.
    depth
        Of imports that were followed.

    Examples
    --------
    >>> is_allowed("keras.layers.Dense"), is_allowed("keras.layers.Lambda")
    (True, False)
    >>> is_allowed("nets.wide"), is_allowed("nets.wide", modules=["nets"])
    (False, True)
    """
    namespace, _, name = target.rpartition(".")
    if name in ALLOWED.get(namespace, ()):
        return True
    if not _is_below(namespace, modules) or any(p.startswith("_") for p in target.split(".")):
        return False
    module, inside = split_target(target)
    if module is None:  # there is nothing of that name here, unless the record brings it
        return True
    if is_installed(module):
        home = str(getattr(locate(target), "__module__", ""))
        return home.partition(".")[0] == target.partition(".")[0]
    offered = offered_names(module)
    if offered.get(inside) == target:
        return True
    first, _, rest = inside.partition(".")
    origin = offered.get(first, "")
    # Where the module itself defines the first, the rest is an attribute, which may be anything.
    is_from_elsewhere = origin not in ("", f"{module}.{first}")
    return (
        is_from_elsewhere
        and depth < MOST_DEPTH
        and is_allowed(f"{origin}.{rest}" if rest else origin, modules=modules, depth=depth + 1)
    )


def _is_below(namespace: str, modules: Collection[str]) -> bool:
    return any(namespace == module or namespace.startswith(f"{module}.") for module in modules)


def check(settings: Any, *, what: str, modules: Collection[str] = ()) -> None:
    """Check all classes of which a record would make objects.

    Parameters
    ----------
    settings
        Of the record: mappings, lists and plain values.
    what
        Where they come from, for the message.
    modules
        See `is_allowed`.

    Raises
    ------
    RequestError
        If they name a class that a record may not, ask for a file or the environment, or are
        larger than any experiment's.
    """
    for count, (place, key, value) in enumerate(_walk(settings)):
        if count > MOST_NODES:
            raise RequestError(f"{what} has more than {MOST_NODES} settings")
        if key == "_target_" and not (
            isinstance(value, str) and is_allowed(value, modules=modules)
        ):
            raise RequestError(
                f"{what} names a class that a record must not create: {place}={shown(value)}",
                _way_out(value, modules),
            )
        if key in _SERIALIZED:
            raise RequestError(
                f"{what} names a class in Keras's own form, which is not accepted: {place}"
            )
        if (
            isinstance(value, Mapping)
            and "_args_" in value
            and str(value.get("_target_")).rpartition(".")[2] in _READ_FILES
        ):
            raise RequestError(f"{what} must give this layer's settings by their names: {place}")
        if key in _FILES and isinstance(value, str):
            raise RequestError(f"{what} names a file where a list must be: {place}={shown(value)}")
        if isinstance(value, str) and "${" in value and place not in _FREE_TEXT:
            raise RequestError(f"{what} has a value that is not plain: {place}={shown(value)}")


def _way_out(target: object, modules: Collection[str]) -> str:
    module = str(target).rpartition(".")[0]
    if _is_below(module, modules):
        return f"It is not {module.partition('.')[0]}'s own"
    if len(module) <= MOST_SHOWN and all(part.isidentifier() for part in module.split(".")):
        return f"If you know that module and trust it: --trust {module}"
    return "No module of that name can be trusted"


def _walk(node: Any, place: str = "", key: str = "", depth: int = 0) -> Iterator[Setting]:
    """Give everything in nested settings, level by level from the outside."""
    if depth > MOST_DEPTH:
        raise RequestError(f"{shown(place)} is nested deeper than {MOST_DEPTH} levels")
    yield place, key, node
    pairs: Iterable[tuple[Any, Any]] = ()
    if isinstance(node, Mapping):
        pairs = node.items()
    elif isinstance(node, list | tuple):
        pairs = enumerate(node)
    for name, value in pairs:
        yield from _walk(value, f"{place}.{name}" if place else f"{name}", str(name), depth + 1)
