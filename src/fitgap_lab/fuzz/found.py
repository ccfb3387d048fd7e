"""Files that tripped a reader, found by hand or by a fuzzer; the reader was mended."""

import gzip
import json
import struct

import numpy as np

from fitgap_lab.fuzz.examples import ABOUT, PLAN, TRUE, VALID, header, matlab, matlab_7_3, png
from fitgap_lab.fuzz.packed import archive, npz, unpacked


def _network(at: int, byte: bytes) -> bytes:
    """Return a network with another byte in its file of weights."""
    parts, pack = unpacked(VALID["model"])
    weights = parts["model.weights.h5"]
    return pack({**parts, "model.weights.h5": weights[:at] + byte + weights[at + 1 :]})


def _packed_by(number: int) -> bytes:
    """Return a checkpoint whose first member says that it is packed in another way."""
    content = bytearray(VALID["checkpoint"])
    content[8] = content[content.index(b"PK\x01\x02") + 10] = number
    return bytes(content)


def _labelled(number: int) -> bytes:
    """Return data with a label of one character, of any number."""
    labels = np.array(["a", "b"] * 4)
    labels.view(np.uint32)[0] = number
    x = np.zeros((8, 4), np.float32)
    return npz(x_train=x, y_train=labels, x_test=x, y_test=labels)


FOUND: dict[str, list[bytes]] = {
    "predictions": [
        # A member whose own header says that its name is 512 bytes long.
        VALID["predictions"][:26] + b"\x00\x02" + VALID["predictions"][28:],
        archive({"test_true.npy": header((10**14,))}),
        archive({"test_true.npy": header((3,), "|O") + b"cos\nsystem\n(S'true'\ntR."}),
        npz(test_true=TRUE, test_predicted=TRUE, test_confidence=np.array(["a"] * 6)),
        # A table of which class was taken for which would fill the memory.
        npz(test_true=TRUE + 2**60, test_predicted=TRUE, test_confidence=np.ones(6)),
        npz(test_true=TRUE, test_predicted=TRUE + 10**9, test_confidence=np.ones(6)),
        # Headers that are no Python: NumPy's own error for them is none of a value.
        archive({"test_true.npy": b"\x93NUMPY\x01\x00\x10\x00{'descr': '<i8', \n"}),
        archive({"test_true.npy": b"\x93NUMPY\x01\x00\x06\x00  (\n (\n"}),
    ],
    "checkpoint": [
        archive({"about.npy": header((10**14,))}),
        npz(about=np.array("[]")),
        npz(about=np.array('{"epochs": 3}')),
        npz(about=np.array('{"epochs": [{"train": 5}], "callbacks": [], "stopped": false}')),
        npz(about=np.array(ABOUT), **{"callback.7.x.0": np.zeros(3)}),
        npz(about=np.array(ABOUT), nothing=np.zeros(3)),
        _packed_by(12),  # bzip2, which it is not
        _packed_by(14),  # LZMA
        # Text beyond Unicode, of which Python makes none.
        archive({"about.npy": header((), "<U1") + b"\xff" * 4}),
        archive({"about.npy": header((10**400, 0), "|b1")}),
        archive({"about.npy": header((), "<U0")}),
        npz(about=np.array([ABOUT])),
        npz(about=np.zeros((), "V8")),
        archive({"about.npy": b"\x93NUMPY\x01\x00\x10\x00{'descr': '<i8', \n"}),
    ],
    "npz": [
        archive({"x_train.npy": header((10**14, 4)), "y_train.npy": header((10**14,), "<i8")}),
        archive({"x_train.npy": b"\x93NUMPY\x01\x00\xff\xff{", "y_train.npy": b""}),
        archive({"x_train.npy": header((10**400, 0)), "y_train.npy": header((0,))}),
        *(
            archive({"x_train.npy": header((0, 4)), "y_train.npy": header((10**15,), dtype)})
            for dtype in ("<U0", "|V0", "|S0")
        ),
        _labelled(0x110000),  # beyond Unicode
        _labelled(0xD800),  # half of a pair, which Python does not write
    ],
    "idx": [gzip.compress(struct.pack(">HBB", 0, 8, 255) + b"\xff" * 4 * 255)],
    "own_idx": [
        gzip.compress(struct.pack(">HBB", 0, 8, 255) + b"\xff" * 4 * 255),
        # A message that named all sizes was endless.
        gzip.compress(struct.pack(">HBB", 0, 8, 255) + bytes(4) + b"\xff" * 4 * 254 + b"1"),
    ],
    "model": [
        archive({"config.json": "[" * 100_000, "model.weights.h5": b"x"}),
        archive({"config.json": b"\xff\xfe", "model.weights.h5": b"x"}),
        archive({"../../evil": b"x"}),
        _network(52, b"\x7f"),  # an address in the file's beginning
        _network(720, b"\xff"),  # an address beyond the file; h5py ends the visit by a SystemError
    ],
    "settings": [
        b"a: 1" + b":59" * 200_000 + b"\n",  # to the base of 60
        b"a: " + b"[" * 5_000,
        b"? [a]\n: b",
        b"a: 2001-99-99",
        b"\xff",
    ],
    "plan": [
        *(PLAN.replace(b"seed=0,1", b"seed=range(0,%s)" % end) for end in (b"9" * 400, b"9,0")),
        b"[" * 100_000,
        b'{"jobs": [{"name": 3}]}',
        b"\xff",
        b'{"jobs": null}',
    ],
    "race": [
        b"[" * 100_000,
        VALID["race"].replace(b"0.9", b"1" + b"0" * 400),
        VALID["race"].replace(b"0.9", b"1e300"),  # whose square is no float
        VALID["race"].replace(b"0.25", b"1e300"),
        VALID["race"].replace(b"0.005", b"NaN"),
        VALID["race"].replace(b'["adam", "sgd"]', json.dumps(["a"] * 10**6).encode()),
        b" " * 10_000_001,
    ],
    "metrics": [b"[" * 100_000, VALID["metrics"].replace(b"[0,", b"[1" + b"0" * 400 + b",")],
    "code": [b"[" * 100_000, b"[]"],
    "keras": [b"[" * 100_000, b"[]"],
    "search": [b"[" * 100_000, b'{"n_trials": Infinity}'],
    "journal": [
        b"[]\n",
        b'{"op_code": 99}\n',
        b'{"op_code": 0}\n',
        b"3\n",
        b"\xff\n",
        b"[" * 3_000 + b"\n",
    ],
    "csv": [
        b"a,label\n" + b'"' * 1_000,
        b"\x00" * 100,
        b"a,a,label\n1,2,3\n",
        b"a,b\r1,label\n1,2,3\n",
    ],
    "outbox": [b"[]", b"{}", b'{"kind": 3, "content": 4}'],
    "mat": [matlab()[:150], b"\x00" * 30],
    "mat_7_3": [b"\x01" + matlab_7_3()[1:], matlab_7_3()[:700]],
    "zip": [
        archive({"a.png": png() * 20}).replace(b"IDAT", b"\xff" * 4),
        b"PK\x05\x06" + bytes(18),
    ],
    "metadata": [b"\x00", b"file_name\n0.png\n", b"file_name,label\n" + b'"' * 1_000],
    "image": [b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 2**31 - 1, 2**31 - 1)],
}
