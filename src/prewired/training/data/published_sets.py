"""The published data sets: find their files and read them into `RawData`.

The files come from a data root (the argument `root`, else the environment variable PREWIRED_DATA) with the folders
mnist, fashion-mnist, cifar10 and adult; each file is plain, .gz or .xz. Without a root, the files are fetched once
from their authors' public addresses into the per-user cache and checked against their checksums.
"""

import math
import os
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ...io.text_file import decode_text
from ...io.text_table import parse_table
from .csv_file import parse_columns
from .raw_data import RawData
from .source_files import Root, data_root, fetch_file, find_file, read_file

MNIST_URL = "https://storage.googleapis.com/cvdf-datasets/mnist/"
MNIST_SHA256 = {
    "train-images-idx3-ubyte": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
FASHION_SHA256 = {
    "train-images-idx3-ubyte": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "train-labels-idx1-ubyte": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "t10k-images-idx3-ubyte": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "t10k-labels-idx1-ubyte": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}
FASHION_CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag"),
    "Ankle boot",
)
CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
CIFAR10_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
CIFAR10_FILES = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR10_NOTE = "CIFAR-10 (98 of 60,000 images JPEG-restored)"
ADULT_URL = "https://archive.ics.uci.edu/ml/machine-learning-databases/adult/"
ADULT_SHA256 = {
    "adult.data": "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
    "adult.test": "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
}
ADULT_COLUMNS = [
    *("age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation"),
    *("relationship", "race", "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country"),
    "income",
]


def read_idx(path: Path, n_axes: int) -> np.ndarray:
    """Read the uint8 array of an IDX file: two zeros, 8 (uint8), the number of axes, the length of each, the values."""
    content = read_file(path)
    magic = bytes([0, 0, 8, n_axes])
    if content[:4] != magic:
        raise ValueError(
            f"{path}: expected an IDX file of uint8 with {n_axes} axes (magic {magic.hex()}), "
            f"got magic {content[:4].hex()}; get the file again"
        )
    shape = [int.from_bytes(content[4 * axis : 4 * axis + 4]) for axis in range(1, n_axes + 1)]
    values = np.frombuffer(content, np.uint8)[4 + 4 * n_axes :]
    if len(content) < 4 + 4 * n_axes or len(values) != math.prod(shape):
        raise ValueError(
            f"{path}: expected {' x '.join(map(str, shape))} bytes after the header, got {len(values):,}; "
            "get the file again"
        )
    return values.reshape(shape)


def check_labels(labels: np.ndarray, path: Path) -> None:
    """Raise ValueError unless the labels are digits from 0 to 9."""
    if len(labels) == 0 or labels.max() > 9:
        description = (
            "no labels" if len(labels) == 0 else f"label {labels.max()} in row {labels.argmax()} (counted from 0)"
        )
        raise ValueError(f"{path}: expected labels 0 to 9, got {description}; get the file again")


def _idx_images(name: str, folder: str, url: str, hashes: dict[str, str], classes, root: Root) -> RawData:
    base = data_root(root)
    parts = []
    for part in ("train", "t10k"):
        paths = [
            find_file(base, folder, stem) if base else fetch_file(f"{url}{stem}.gz", f"sha256:{hashes[stem]}", folder)
            for stem in (f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte")
        ]
        images, labels = read_idx(paths[0], 3), read_idx(paths[1], 1)
        if len(images) != len(labels):
            raise ValueError(
                f"{paths[1]}: expected {len(images):,} labels, one for each image, got {len(labels):,}; "
                "get the files again"
            )
        check_labels(labels, paths[1])
        parts.append((images, labels))
    (x, y), (x_test, y_test) = parts
    if x.shape[1:] != x_test.shape[1:]:
        raise ValueError(
            f"{name}: expected test images of {x.shape[1:]} pixels as in training, got {x_test.shape[1:]}; "
            "get the files again"
        )
    all_rows = np.concatenate([x, x_test])
    return RawData(
        name,
        all_rows.reshape(len(all_rows), -1),
        np.concatenate([y, y_test]),
        n_test=len(y_test),
        classes=tuple(classes),
        image_shape=(1, *x.shape[1:]),
        groups=1,
    )


def mnist(root: Root) -> RawData:
    """Read MNIST: handwritten digits."""
    return _idx_images("mnist", "mnist", MNIST_URL, MNIST_SHA256, map(str, range(10)), root)


def fashion_mnist(root: Root) -> RawData:
    """Read Fashion-MNIST: pictures of clothes."""
    return _idx_images("fashion_mnist", "fashion-mnist", FASHION_URL, FASHION_SHA256, FASHION_CLASSES, root)


def cifar10(root: Root) -> RawData:
    """Read CIFAR-10: for each image one label byte, then 1,024 red, 1,024 green and 1,024 blue bytes."""
    base = data_root(root)
    if base:
        paths = [find_file(base, "cifar10", stem) for stem in CIFAR10_FILES]
        with ThreadPoolExecutor(min(len(paths), os.cpu_count() or 1)) as pool:
            contents = list(pool.map(read_file, paths))
    else:
        archive = fetch_file(CIFAR10_URL, f"md5:{CIFAR10_MD5}", "cifar10")
        paths = [archive / stem for stem in CIFAR10_FILES]
        contents = _cifar10_members(archive)
    parts = []
    for path, content in zip(paths, contents, strict=True):
        if len(content) == 0 or len(content) % 3073:
            raise ValueError(
                f"{path}: expected images of 3,073 bytes each, got {len(content):,} bytes; get the file again"
            )
        parts.append(np.frombuffer(content, np.uint8).reshape(-1, 3073))
        check_labels(parts[-1][:, 0], path)
    all_rows = np.concatenate(parts)
    has_restored_images = base is not None and (base / "cifar10" / "approximate_images.json").is_file()
    return RawData(
        "cifar10",
        all_rows[:, 1:],
        all_rows[:, 0],
        n_test=len(parts[-1]),
        classes=CIFAR10_CLASSES,
        image_shape=(3, 32, 32),
        groups=3,
        note=CIFAR10_NOTE if has_restored_images else "",
    )


def _cifar10_members(archive: Path) -> list[bytes]:
    with tarfile.open(archive) as tar:
        members = {Path(member.name).name: tar.extractfile(member) for member in tar if member.isfile()}
        member_files = [members.get(stem) for stem in CIFAR10_FILES]
        return [file.read() if file else b"" for file in member_files]


def adult(root: Root) -> RawData:
    """Read the census rows; '?' is a category, and the labels of the test file end in a full stop."""
    base = data_root(root)
    parts = []
    for stem, checksum in ADULT_SHA256.items():
        path = find_file(base, "adult", stem) if base else fetch_file(ADULT_URL + stem, f"sha256:{checksum}", "adult")
        table = parse_table(decode_text(read_file(path), path), path, comment="|")
        rows = [[*row[:-1], row[-1].rstrip(".")] for row in table.rows]
        parts.append(parse_columns(ADULT_COLUMNS, rows, path, table.lines))
    train, test = parts
    for name in ADULT_COLUMNS:
        if train[name].dtype.kind != test[name].dtype.kind:
            raise ValueError(
                f"adult, column {name!r}: expected one kind of values in adult.data and adult.test, "
                f"got {train[name].dtype} and {test[name].dtype}; get the files again"
            )
    x = {name: np.concatenate([train[name], test[name]]) for name in ADULT_COLUMNS}
    y = x.pop("income")
    return RawData("adult", x, y, n_test=len(test["income"]))


def digits(root: Root) -> RawData:
    """Read the 1,797 digits of 8x8 pixels (0 to 16) that come with scikit-learn."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise ImportError(
            "expected scikit-learn, which ships the digits, got no such package; pip install 'prewired[study]'"
        ) from None
    x, y = (np.asarray(part) for part in load_digits(return_X_y=True))
    names = tuple(str(digit) for digit in range(10))
    return RawData("digits", x, y, classes=names, image_shape=(1, 8, 8), groups=1)


DATASETS: dict[str, Callable[[Root], RawData]] = {
    function.__name__: function for function in (digits, mnist, fashion_mnist, cifar10, adult)
}
