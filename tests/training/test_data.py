"""Data sets: synthetic files for every branch and every error, then facts about the real files where they lie."""

import contextlib
import gzip
import hashlib
import io
import lzma
import re
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from prewired.training import data
from prewired.training.data import csv_file, loading, published_sets, source_files
from prewired.training.data.preparation import split

ADULT_ROW = "39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, White, Male, 2174, 0"


@contextlib.contextmanager
def one_line(error: type[Exception], *words: str):
    """The block raises `error` with one line "expected ..., got ...; remedy" that holds all the words."""
    with pytest.raises(error) as caught:
        yield
    message = str(caught.value)
    assert re.fullmatch(r".*expected .*got .*; .+", message), message  # "." matches no line break
    for word in words:
        assert word in message, message


@pytest.fixture(autouse=True)
def _no_data_root(monkeypatch):
    monkeypatch.delenv("PREWIRED_DATA", raising=False)


def parts(d: data.Data):
    return (d.x_train, d.y_train), (d.x_val, d.y_val), (d.x_test, d.y_test)


def check_shapes(d: data.Data) -> None:
    for x, y in parts(d):
        assert x.dtype == torch.float32
        assert x.shape[1] == d.n_features == len(d.feature_names)
        assert len(x) == len(y) > 0
        assert torch.isfinite(x).all()
        if d.task == "classification":
            assert y.dtype == torch.int64
            assert y.ndim == 1
            assert 0 <= y.min() <= y.max() < d.n_outputs == len(d.classes)
        else:
            assert y.dtype == torch.float32
            assert y.shape == (len(x), 1)
            assert d.n_outputs == 1
            assert d.classes == ()


# --- split ---


@given(
    labels=st.lists(st.integers(0, 4), min_size=10, max_size=200),
    shares=st.sampled_from([((1, 5), (1, 4)), ((0, 1), (1, 10)), ((0, 1), (1, 5))]),
    seed=st.integers(0, 2**40),
)
def test_split_is_a_partition_that_keeps_class_proportions(labels, shares, seed):
    strata = np.array(labels)
    train, val, test = split(strata, *shares, seed=seed)
    assert_array_equal(np.sort(np.concatenate([train, val, test])), np.arange(len(strata)))
    assert len(test) == len(strata) * shares[0][0] // shares[0][1]
    assert len(val) == (len(strata) - len(test)) * shares[1][0] // shares[1][1]
    for label in set(labels):
        n, n_val, n_test = (int((strata[rows] == label).sum()) for rows in (slice(None), val, test))
        assert abs(n_test - n * shares[0][0] / shares[0][1]) < 1
        assert abs(n_val - (n - n_test) * shares[1][0] / shares[1][1]) < 1
        if n >= loading.MIN_ROWS_PER_CLASS:
            assert n - n_val - n_test > 0


def test_split_depends_on_the_seed_and_on_nothing_else():
    strata = np.arange(100) % 3
    first, again, other = (split(strata, (1, 5), (1, 4), seed=seed) for seed in (0, 0, 1))
    for a, b, c in zip(first, again, other, strict=True):
        assert_array_equal(a, b)
        assert not np.array_equal(a, c)
    # frozen: a change here changes the split of every study ever run
    assert first[2][:8].tolist() == [5, 6, 7, 13, 18, 20, 24, 33]


def test_split_gives_every_row_its_chance():
    strata = np.repeat([0, 1], [60, 40])
    counts = np.zeros(100)
    for seed in range(400):
        counts[split(strata, (1, 5), (1, 4), seed=seed)[2]] += 1
    assert counts.sum() == 400 * 20
    assert 40 < counts.min() <= counts.max() < 120  # binomial(400, 0.2): mean 80, deviation 8


# --- digits, names ---


def test_digits():
    d = data.load("digits")
    check_shapes(d)
    assert (len(d.x_train), len(d.x_val), len(d.x_test)) == (1079, 359, 359)
    assert d.image_shape == (1, 8, 8)
    assert d.classes == tuple("0123456789")
    assert_allclose(d.x_train.mean(), 0, atol=1e-6)
    assert_allclose(d.x_train.std(correction=0), 1, atol=1e-5)
    for _, y in parts(d):
        share = torch.bincount(y).numpy() / len(y)
        assert_allclose(share, 0.1, atol=0.008)
    rows = {tuple(row) for row in d.x_train.tolist()}
    assert not rows & {tuple(row) for row in d.x_val.tolist()}
    assert not rows & {tuple(row) for row in d.x_test.tolist()}
    assert "tensor" not in repr(d)
    torch.testing.assert_close(data.load("digits", seed=0).x_val, d.x_val, rtol=0, atol=0)
    assert not torch.equal(data.load("digits", seed=1).x_val, d.x_val)


def test_digits_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with one_line(ImportError, "scikit-learn", "prewired[study]"):
        data.load("digits")


def test_unknown_names_and_paths(tmp_path):
    with one_line(ValueError, "'mnits'", "digits, mnist, fashion_mnist, cifar10, adult", ".npz"):
        data.load("mnits")
    with one_line(ValueError, "table.xlsx", ".csv"):
        data.load(tmp_path / "table.xlsx")
    with one_line(FileNotFoundError, "absent.csv"):
        data.load(tmp_path / "absent.csv", target="y")
    with one_line(ValueError, "target='age'", "adult"):
        data.load("adult", target="age")
    np.savez(tmp_path / "a.npz", x=np.ones((2, 2)), y=[0, 1])
    with one_line(ValueError, "target='y'"):
        data.load(tmp_path / "a.npz", target="y")
    with pytest.raises(ValueError, match="seed"):
        data.load("digits", seed=-1)


# --- MNIST and Fashion-MNIST: IDX ---


def idx(values: np.ndarray) -> bytes:
    return bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes() + values.tobytes()


def write_idx(folder: Path, compress=True, shape=(4, 3)) -> tuple[np.ndarray, np.ndarray]:
    """40 + 20 images whose first pixel is ten times their label and whose second pixel is their number."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = np.arange(60, dtype=np.uint8) % 10
    images = np.full((60, *shape), 7, np.uint8)
    images[:, 0, 0], images[:, 0, 1] = labels * 10, np.arange(60)
    for part, rows in (("train", slice(0, 40)), ("t10k", slice(40, 60))):
        for kind, values in (("images-idx3", images[rows]), ("labels-idx1", labels[rows])):
            stem = folder / f"{part}-{kind}-ubyte"
            if compress:
                stem.with_name(stem.name + ".gz").write_bytes(gzip.compress(idx(values)))
            else:
                stem.write_bytes(idx(values))
    return images, labels


@pytest.mark.parametrize(("name", "folder"), [("mnist", "mnist"), ("fashion_mnist", "fashion-mnist")])
@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("by_environment", [True, False])
def test_idx_images(tmp_path, monkeypatch, name, folder, compress, by_environment):
    images, labels = write_idx(tmp_path / folder, compress)
    if by_environment:
        monkeypatch.setenv("PREWIRED_DATA", str(tmp_path))
    d = data.load(name, root=None if by_environment else tmp_path)
    check_shapes(d)
    assert (len(d.x_train), len(d.x_val), len(d.x_test)) == (36, 4, 20)
    assert d.name == name
    assert d.image_shape == (1, 4, 3)
    assert d.n_outputs == 10
    assert d.note == ""
    # back to pixels: one mean and deviation for all, that of the training part
    original = images.reshape(60, -1).astype(float)
    step = (d.x_test[1, 1] - d.x_test[0, 1]).item()  # images 40 and 41: one grey level apart
    offset = d.x_test[0, 1].item() - 40 * step
    seen = []
    for x, y in parts(d):
        pixels = (x.double() - offset) / step
        number = pixels[:, 1].round().long()
        seen.append(number.numpy())
        assert_allclose(pixels.numpy(), original[number], atol=1e-3)
        assert_array_equal(y, labels[number])
    assert_array_equal(seen[2], np.arange(40, 60))
    assert_array_equal(np.sort(np.concatenate(seen)), np.arange(60))
    assert_allclose(1 / step, original[seen[0]].std(), rtol=1e-5)
    assert_allclose(-offset / step, original[seen[0]].mean(), rtol=1e-5)


def test_argument_root_wins_over_the_environment(tmp_path, monkeypatch):
    write_idx(tmp_path / "mnist")
    monkeypatch.setenv("PREWIRED_DATA", str(tmp_path / "elsewhere"))
    assert len(data.load("mnist", root=tmp_path).x_test) == 20


BAD_IDX = {
    "magic": (lambda path: path.write_bytes(gzip.compress(b"\0\0\x0d\3" + bytes(60))), "magic 00000d03"),
    "empty": (lambda path: path.write_bytes(gzip.compress(b"")), "magic"),
    "cut header": (lambda path: path.write_bytes(gzip.compress(b"\0\0\x08\3\0\0")), "after the header"),
    "cut values": (lambda path: path.write_bytes(gzip.compress(idx(np.zeros((4, 2, 2), np.uint8))[:-1])), "4 x 2 x 2"),
    "too long": (lambda path: path.write_bytes(gzip.compress(idx(np.zeros((4, 2, 2), np.uint8)) + b"1")), "got 17"),
    "cut gz": (lambda path: path.write_bytes(path.read_bytes()[:-9]), "decompress"),
    "not gz": (lambda path: path.write_bytes(b"<html>not found</html>"), "decompress"),
    "damaged gz": (lambda path: path.write_bytes(path.read_bytes()[:20] + b"\xff" * 20), "decompress"),
    "count": (lambda path: path.write_bytes(gzip.compress(idx(np.zeros((4, 2, 2), np.uint8)))), "4 labels"),
}


@pytest.mark.parametrize("case", BAD_IDX)
def test_bad_idx_files(tmp_path, case):
    write_idx(tmp_path / "mnist")
    damage, words = BAD_IDX[case]
    damage(tmp_path / "mnist" / "train-images-idx3-ubyte.gz")
    file = "train-labels" if case == "count" else "train-images-idx3-ubyte.gz"
    with one_line(ValueError, file, words):
        data.load("mnist", root=tmp_path)


def test_bad_idx_labels_and_sizes(tmp_path):
    write_idx(tmp_path / "mnist")
    (tmp_path / "mnist/t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(np.zeros((20, 2, 2), np.uint8))))
    with one_line(ValueError, "(4, 3)", "(2, 2)"):
        data.load("mnist", root=tmp_path)
    labels = np.arange(40, dtype=np.uint8) % 11
    (tmp_path / "mnist/train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    with one_line(ValueError, "label 10 in row 10", "train-labels"):
        data.load("mnist", root=tmp_path)


# --- CIFAR-10 ---


def cifar_bytes(n: int, start: int) -> bytes:
    images = np.zeros((n, 3073), np.uint8)
    images[:, 0] = (start + np.arange(n)) % 10
    images[:, 1:1025], images[:, 1025:2049] = 100, 10
    images[:, 1] = images[:, 1025] = images[:, 2049] = start + np.arange(n)
    return images.tobytes()


@pytest.fixture
def cifar_root(tmp_path):
    (tmp_path / "cifar10").mkdir()
    for i, stem in enumerate(published_sets.CIFAR10_FILES):
        content = cifar_bytes(20, 20 * i)
        if i % 2:
            (tmp_path / "cifar10" / stem).write_bytes(content)
        else:
            (tmp_path / "cifar10" / f"{stem}.xz").write_bytes(lzma.compress(content))
    return tmp_path


def test_cifar10(cifar_root):
    d = data.load("cifar10", root=cifar_root)
    check_shapes(d)
    assert (len(d.x_train), len(d.x_val), len(d.x_test)) == (90, 10, 20)
    assert d.image_shape == (3, 32, 32)
    assert d.classes[3] == "cat"
    assert d.note == ""
    channels = d.x_train.reshape(90, 3, -1).double()
    assert_allclose(channels.mean(dim=(0, 2)), 0, atol=1e-5)
    assert_allclose(channels.std(dim=(0, 2), correction=0), 1, atol=1e-5)
    assert_array_equal(d.y_test, np.arange(100, 120) % 10)
    for red_green_blue in (0, 1024, 2048):  # the first pixel is the image's number: file order, no byte shifted
        assert_array_equal(d.x_test[:, red_green_blue].argsort(stable=True), np.arange(20))
    for column in (1, 1023, 1025, 2047, 2049, 3071):
        assert len(d.x_test[:, column].unique()) == 1
    (cifar_root / "cifar10" / "approximate_images.json").write_text("{}")
    assert data.load("cifar10", root=cifar_root).note == "CIFAR-10 (98 of 60,000 images JPEG-restored)"


@pytest.mark.parametrize("content", [b"", b"12345", bytes([10]) * 3073])
def test_bad_cifar10_files(cifar_root, content):
    (cifar_root / "cifar10" / "data_batch_2.bin").write_bytes(content)
    with one_line(ValueError, "data_batch_2.bin"):
        data.load("cifar10", root=cifar_root)


def test_truncated_xz(cifar_root):
    path = cifar_root / "cifar10" / "test_batch.bin.xz"
    (cifar_root / "cifar10" / "test_batch.bin").unlink()
    path.write_bytes(lzma.compress(cifar_bytes(20, 0))[:-20])
    with one_line(ValueError, "test_batch.bin.xz", "decompress"):
        data.load("cifar10", root=cifar_root)


# --- Adult ---


def adult_text(n: int, *, test: bool = False) -> str:
    rows = []
    for i in range(n):
        work = "?" if i % 4 == 0 else "Private"
        label = ">50K" if i % 3 == 0 else "<=50K"
        rest = "13, Never-married, Adm-clerical, Not-in-family, White, Male, 0, 0, 40, United-States"
        rows.append(f"{20 + i}, {work}, {1000 + i}, Bachelors, {rest}, {label}{'.' if test else ''}")
    return ("|1x3 Cross validator\n" if test else "") + "\n".join(rows) + "\n\n"


@pytest.mark.parametrize("compress", [True, False])
def test_adult(tmp_path, compress):
    (tmp_path / "adult").mkdir()
    for stem, text in (("adult.data", adult_text(60)), ("adult.test", adult_text(24, test=True))):
        if compress:
            (tmp_path / "adult" / f"{stem}.gz").write_bytes(gzip.compress(text.encode()))
        else:
            (tmp_path / "adult" / stem).write_text(text)
    d = data.load("adult", root=tmp_path)
    check_shapes(d)
    assert (len(d.x_train), len(d.x_val), len(d.x_test)) == (54, 6, 24)
    assert d.classes == ("<=50K", ">50K")
    assert d.feature_names[:4] == ("age", "workclass=?", "workclass=Private", "fnlwgt")
    assert_array_equal(d.y_test, np.arange(24) % 3 == 0)
    assert_array_equal(d.x_test[:, 1], np.arange(24) % 4 == 0)
    assert_allclose(d.x_train[:, 0].mean(), 0, atol=1e-6)
    assert_allclose(d.x_train[:, 0].std(correction=0), 1, atol=1e-6)


def test_bad_adult_files(tmp_path):
    (tmp_path / "adult").mkdir()
    (tmp_path / "adult" / "adult.data").write_text(adult_text(30))
    with one_line(FileNotFoundError, "adult.test", str(tmp_path / "adult")):
        data.load("adult", root=tmp_path)
    (tmp_path / "adult" / "adult.test").write_text(adult_text(30, test=True) + ADULT_ROW + "\n")
    with one_line(ValueError, "adult.test, line 33", "15 cells", "got 12"):
        data.load("adult", root=tmp_path)
    (tmp_path / "adult" / "adult.test").write_text(adult_text(30, test=True).replace("40, United", "full, United"))
    with one_line(ValueError, "'hours-per-week'"):
        data.load("adult", root=tmp_path)
    (tmp_path / "adult" / "adult.test").write_text(adult_text(30, test=True).replace("<=50K", "<50K"))
    with one_line(ValueError, "'<=50K', '>50K'", "'<50K'"):
        data.load("adult", root=tmp_path)


# --- roots and fetching ---


@pytest.mark.parametrize(
    ("name", "folder", "file"),
    [
        ("mnist", "mnist", "train-images-idx3-ubyte"),
        ("fashion_mnist", "fashion-mnist", "train-images-idx3-ubyte"),
        ("cifar10", "cifar10", "data_batch_1.bin"),
        ("adult", "adult", "adult.data"),
    ],
)
@pytest.mark.parametrize("by_environment", [True, False])
def test_a_file_missing_in_the_root_is_never_fetched(tmp_path, monkeypatch, name, folder, file, by_environment):
    monkeypatch.setattr("pooch.retrieve", lambda *_, **__: pytest.fail("fetched"))
    monkeypatch.setenv("PREWIRED_DATA", str(tmp_path) if by_environment else "")
    with one_line(FileNotFoundError, file, str(tmp_path / folder), "PREWIRED_DATA"):
        data.load(name, root=None if by_environment else tmp_path)


@pytest.fixture
def fetched(tmp_path, monkeypatch):
    """pooch.retrieve replaced by a look into tmp_path/<folder of the cache>; lists what was asked for."""
    calls = []

    def retrieve(url, known_hash, fname, path):
        calls.append((url, known_hash))
        assert url.endswith("/" + fname)
        assert path.parent == tmp_path
        return str(path / fname)

    monkeypatch.setattr("pooch.retrieve", retrieve)
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path if project == "prewired" else None)
    return calls


@pytest.mark.parametrize(("name", "folder"), [("mnist", "mnist"), ("fashion_mnist", "fashion-mnist")])
def test_fetching_idx(tmp_path, fetched, name, folder):
    write_idx(tmp_path / folder)
    assert len(data.load(name).x_test) == 20
    assert len(fetched) == len(set(fetched)) == 4
    host = "storage.googleapis.com" if name == "mnist" else "fashion-mnist.s3"
    for url, known in fetched:
        assert host in url
        assert re.fullmatch("sha256:[0-9a-f]{64}", known)


def test_fetching_adult(tmp_path, fetched):
    (tmp_path / "adult").mkdir()
    (tmp_path / "adult" / "adult.data").write_text(adult_text(60))
    (tmp_path / "adult" / "adult.test").write_text(adult_text(24, test=True))
    assert len(data.load("adult").x_test) == 24
    assert [url.rsplit("/", 1)[1] for url, _ in fetched] == ["adult.data", "adult.test"]


def test_fetching_cifar10(tmp_path, fetched):
    (tmp_path / "cifar10").mkdir()
    path = tmp_path / "cifar10" / "cifar-10-binary.tar.gz"
    for missing in (True, False):
        with tarfile.open(path, "w:gz") as tar:
            for i, stem in reversed(list(enumerate(published_sets.CIFAR10_FILES))):
                if missing and i == 2:
                    continue
                member = tarfile.TarInfo(f"cifar-10-batches-bin/{stem}")
                content = cifar_bytes(20, 20 * i)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        if missing:
            with one_line(ValueError, "data_batch_3.bin"):
                data.load("cifar10")
    d = data.load("cifar10")
    assert_array_equal(d.y_test, np.arange(100, 120) % 10)
    assert d.note == ""
    assert fetched[0][1] == "md5:c32a1d4ab5d03f1284b67883e8d87530"


def test_a_failed_fetch_is_one_line(monkeypatch, tmp_path):
    def retrieve(*_, **__):
        raise OSError("no route\nto host")

    monkeypatch.setattr("pooch.retrieve", retrieve)
    monkeypatch.setattr("pooch.os_cache", lambda _: tmp_path)
    with one_line(ConnectionError, "adult.data", str(tmp_path / "adult"), "PREWIRED_DATA", "no route to host"):
        data.load("adult")


def test_fetching_without_pooch(monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with one_line(ImportError, "pooch", "prewired[study]", "PREWIRED_DATA"):
        data.load("mnist")


# --- CSV ---


def write_csv(tmp_path: Path, header: str, rows: list[str]) -> Path:
    path = tmp_path / "table.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def good_rows(n: int = 30) -> list[str]:
    return [f"{i},{'red' if i % 2 else 'blue'},5,{'yes' if i % 3 else 'no'}" for i in range(n)]


GOOD_HEADER = "size,colour,same,bought"


def test_csv_classification(tmp_path):
    d = data.load(write_csv(tmp_path, GOOD_HEADER, good_rows()), target="bought")
    check_shapes(d)
    assert d.name == "table.csv"
    assert d.classes == ("no", "yes")
    assert d.feature_names == ("size", "colour=blue", "colour=red", "same")
    assert (len(d.x_train), len(d.x_val), len(d.x_test)) == (18, 6, 6)
    for x, _ in parts(d):
        assert_array_equal(x[:, 3], 0)  # constant: 0, not NaN
        assert_array_equal(x[:, 1] + x[:, 2], 1)
    assert_allclose(d.x_train[:, 0].mean(), 0, atol=1e-6)
    assert_allclose(d.x_train[:, 0].std(correction=0), 1, atol=1e-6)


def test_a_feature_constant_in_training_is_zero_everywhere(tmp_path):
    path = write_csv(tmp_path, "a,b,y", [f"{i},{0.1 + 5 * (i == 0)},{i % 2}" for i in range(30)])
    outcomes = set()
    for seed in range(12):
        d = data.load(path, target="y", seed=seed)
        constant = bool((d.x_train[:, 1] == d.x_train[0, 1]).all())
        outcomes.add(constant)
        for x, _ in parts(d):
            assert not constant or (x[:, 1] == 0).all()
    assert outcomes == {True, False}


@pytest.mark.parametrize(("n_others", "parts"), [(1, {"training", "validation"}), (4, {"", "validation", "test"})])
def test_a_target_constant_in_one_part_is_an_error(tmp_path, n_others, parts):
    path = write_csv(tmp_path, "a,y", [f"{i},{0.5 + (i < n_others)}" for i in range(30)])
    outcomes = set()
    for seed in range(40):
        try:
            data.load(path, target="y", seed=seed)
            outcomes.add("")
        except ValueError as error:
            message = re.fullmatch(
                r".*: expected different targets in the (\w+) part, got only .*; add other rows", str(error)
            )
            outcomes.add(message[1])
    assert outcomes == parts


def test_words_in_other_bytes_than_ascii_are_an_error(tmp_path):
    np.savez(tmp_path / "d.npz", x=np.eye(12), y=np.array([b"a", b"\xff"] * 6))
    with one_line(ValueError, "d.npz, y", "words in ASCII", "np.char.decode"):
        data.load(tmp_path / "d.npz")


def test_csv_rows_keep_their_values(tmp_path):
    """Target, category and number of each row still belong together after split and encoding."""
    d = data.load(write_csv(tmp_path, "n,parity,y", [f"{i},p{i % 2},c{i % 3}" for i in range(60)]), target="y")
    x = torch.cat([d.x_train, d.x_val, d.x_test])
    y = torch.cat([d.y_train, d.y_val, d.y_test])
    order = x[:, 0].argsort()
    assert_array_equal(y[order], np.arange(60) % 3)
    assert_array_equal(x[order, 2], np.arange(60) % 2)


def test_csv_categories_come_from_training_alone(tmp_path):
    rows = [f"{i},{'w' if i else 'rare'},{i % 2}" for i in range(30)]
    path = write_csv(tmp_path, "n,word,y", rows)
    outcomes = set()
    for seed in range(12):
        d = data.load(path, target="y", seed=seed)
        seen = "word=rare" in d.feature_names
        words = d.x_train[:, 1:].sum(dim=1)
        assert_array_equal(words, 1)
        unseen = sum(int((x[:, 1:].sum(dim=1) == 0).sum()) for x, _ in parts(d))
        assert unseen == (0 if seen else 1)
        outcomes.add(seen)
    assert outcomes == {True, False}


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        ([i % 3 for i in range(30)], ("0", "1", "2")),
        ([(5, 10, -1)[i % 3] for i in range(30)], ("-1", "5", "10")),
        ([("True", "False")[i % 2] for i in range(30)], ("False", "True")),
        ([i % 20 for i in range(60)], tuple(map(str, range(20)))),
        ([i / 2 for i in range(30)], ()),
        ([i * 1e30 for i in range(30)], ()),
    ],
)
def test_csv_task_follows_from_the_target(tmp_path, cells, classes):
    d = data.load(write_csv(tmp_path, "x,y", [f"{i},{y}" for i, y in enumerate(cells)]), target="y")
    check_shapes(d)
    assert d.classes == classes
    assert d.task == ("classification" if classes else "regression")
    if not classes:
        assert_allclose(d.y_train.mean(), 0, atol=1e-6)
        assert_allclose(d.y_train.std(correction=0), 1, atol=1e-5)
        y = torch.cat([d.y_train, d.y_val, d.y_test])[:, 0]
        x = torch.cat([d.x_train, d.x_val, d.x_test])[:, 0]
        assert_allclose(np.corrcoef(y[x.argsort()].double(), cells)[0, 1], 1, atol=1e-6)


def test_a_task_decides_where_the_target_leaves_it_open(tmp_path):
    path = write_csv(
        tmp_path, "x,many,few,whole,words", [f"{i},{i % 25},{i % 3},{i % 2}.0,w{i % 2}" for i in range(100)]
    )
    for target, n_classes in (("many", 25), ("few", 3), ("whole", 2)):
        for task, n in (("classification", n_classes), ("regression", 0)):
            d = data.load(path, target=target, task=task)
            check_shapes(d)
            assert (d.task, len(d.classes)) == (task, n)
    assert data.load(path, target="words", task="classification").n_outputs == 2
    with one_line(ValueError, "task=regression"):
        data.load(path, target="words", task="regression")
    with one_line(ValueError, "task=regression"):
        data.load("digits", task="regression")
    with one_line(ValueError, "fractions"):
        data.load(write_csv(tmp_path, "x,y", [f"{i},{i / 7}" for i in range(40)]), target="y", task="classification")
    with one_line(ValueError, "'moon'"):
        data.load("digits", task="moon")


def test_csv_quotes_bom_blank_lines_and_spaces(tmp_path):
    path = tmp_path / "t.csv"
    rows = "".join(f'{i}, "a, {i % 2}",  {"ü" if i % 2 else "é"}\r\n\r\n' for i in range(20))
    path.write_bytes(("\ufeffn,pair,y\r\n" + rows).encode())
    d = data.load(path, target="y")
    assert d.classes == ("é", "ü")
    assert d.feature_names == ("n", "pair=a, 0", "pair=a, 1")


def replaced(line: int, text: str) -> list[str]:
    rows = good_rows()
    rows[line - 2] = text  # line 1 is the header
    return rows


BAD_CSV = {
    "no target": (GOOD_HEADER, good_rows(), None, ["'size', 'colour', 'same', 'bought'", "None"]),
    "unknown target": (GOOD_HEADER, good_rows(), "price", ["'size', 'colour', 'same', 'bought'", "'price'"]),
    "many columns": (",".join(f"c{i}" for i in range(30)), [",".join("1" * 30)], "y", ["'c19' and 10 more"]),
    "only a target": ("y", [str(i % 2) for i in range(20)], "y", ["only 'y'"]),
    "same names": ("a,b,a,y", good_rows(), "y", ["'a' twice"]),
    "no name": (",b,c,y", good_rows(), "y", ["column 1", "index=False"]),
    "no rows": (GOOD_HEADER, [], "bought", ["no rows"]),
    "nothing": ("", [], "bought", ["no rows"]),
    "short row": (GOOD_HEADER, replaced(9, "1,2,3"), "bought", ["line 9", "4 cells", "got 3"]),
    "long row": (GOOD_HEADER, replaced(9, "1,2,3,4,5"), "bought", ["line 9", "4 cells", "got 5"]),
    "open quote": (GOOD_HEADER, replaced(9, '1,"red,5,no'), "bought", ["line"]),
    "empty number": (GOOD_HEADER, replaced(5, ",red,5,no"), "bought", ["line 5", "'size'", "''"]),
    "empty word": (GOOD_HEADER, replaced(5, "1,,5,no"), "bought", ["line 5", "'colour'", "''"]),
    "empty target": (GOOD_HEADER, replaced(5, "1,red,5,"), "bought", ["line 5", "'bought'", "''"]),
    "nan": (GOOD_HEADER, replaced(31, "NaN,red,5,no"), "bought", ["line 31", "'size'", "'NaN'"]),
    "nan word": (GOOD_HEADER, replaced(31, "1,nan,5,no"), "bought", ["line 31", "'colour'", "'nan'"]),
    "inf": (GOOD_HEADER, replaced(7, "-inf,red,5,no"), "bought", ["line 7", "'size'", "finite"]),
    "stray word": (GOOD_HEADER, replaced(7, "many,red,5,no"), "bought", ["line 7", "'size'", "29 of the 30", "'many'"]),
    "grouping": (GOOD_HEADER, replaced(7, "1_000,red,5,no"), "bought", ["line 7", "'1_000'"]),
    "stray target": ("a,y", [*(f"{i},{i / 4}" for i in range(20)), "3,high"], "y", ["line 22", "'y'", "'high'"]),
    "inf target": ("a,y", [*(f"{i},{i / 4}" for i in range(20)), "3,inf"], "y", ["line 22", "'y'", "'inf'"]),
    "one class": ("a,y", [f"{i},yes" for i in range(20)], "y", ["only 'yes'"]),
    "constant": ("a,y", [f"{i},0.5" for i in range(20)], "y", ["only '0.5'"]),
    "few rows": (GOOD_HEADER, good_rows(9), "bought", ["at least 10 rows", "got 9"]),
    "rare class": (GOOD_HEADER, replaced(4, "1,red,5,maybe"), "bought", ["at least 3 rows", "'maybe'"]),
    "float classes": ("a,y", [f"{i},{i % 3}.0" for i in range(20)], "y", ["3 different floats ('0.0', '1.0', '2.0')"]),
    "many integers": ("a,y", [f"{i},{i % 21}" for i in range(63)], "y", ["21 different integers ('0', '1'", "--task"]),
    "identifiers": ("a,y", [f"id{i},{i % 2}" for i in range(2000)], "y", ["'a'", "1,200", "at most 1,000"]),
    "wide range": ("a,y", [f"{i * 1e307},{i % 2}" for i in range(17)], "y", ["'a'", "float32"]),
    "narrow range": ("a,y", [f"{i}e-320,{i % 2}" for i in range(17)], "y", ["'a'", "float32"]),
}


@pytest.mark.parametrize("case", BAD_CSV)
def test_bad_csv_files(tmp_path, case):
    header, rows, target, words = BAD_CSV[case]
    with one_line(ValueError, "table.csv", *words):
        data.load(write_csv(tmp_path, header, rows), target=target)


def test_csv_that_is_not_utf_8(tmp_path):
    path = tmp_path / "latin.csv"
    path.write_bytes(b"\xef\xbb\xbfa,y\n1,2\n1,f\xfcr\n")
    with one_line(ValueError, "latin.csv, line 3", "UTF-8", "0xfc"):
        data.load(path, target="y")


def test_half_of_the_cells_make_a_number_column(tmp_path):
    lines = list(range(2, 12))
    words = ("x",) * 6 + ("1",) * 4
    assert csv_file.parse_column(words, "c", tmp_path, lines).dtype.kind == "U"
    assert csv_file.parse_column(words[1:], "c", tmp_path, lines).dtype.kind == "U"
    with one_line(ValueError, "line 2", "'c'"):
        csv_file.parse_column(words[2:], "c", tmp_path, lines)  # four of eight are numbers


# --- NPZ ---


def write_npz(tmp_path: Path, **arrays) -> Path:
    path = tmp_path / "arrays.npz"
    np.savez_compressed(path, **arrays)
    return path


X = np.random.default_rng(0).normal(3, 5, (40, 4))
Y = np.arange(40) % 2


def test_npz_classification_and_given_test_set(tmp_path):
    d = data.load(write_npz(tmp_path, x=X, y=Y, extra=np.zeros(3)))
    check_shapes(d)
    assert (len(d.x_train), len(d.x_val), len(d.x_test)) == (24, 8, 8)
    assert d.feature_names == ("x0", "x1", "x2", "x3")
    assert_allclose(d.x_train.mean(dim=0), 0, atol=1e-6)
    assert_allclose(d.x_train.std(dim=0, correction=0), 1, atol=1e-6)
    d = data.load(write_npz(tmp_path, x=X, y=Y, x_test=X[:5] + 1, y_test=Y[:5]))
    assert (len(d.x_train), len(d.x_val), len(d.x_test)) == (32, 8, 5)
    assert_array_equal(d.y_test, Y[:5])
    difference = d.x_test[1:] - d.x_test[:-1]
    ratio = difference / torch.from_numpy(X[1:5] - X[:4])
    assert_allclose(ratio, ratio[:1].expand_as(ratio), rtol=1e-4)  # in order, one scale for each feature


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (Y.astype(bool), ("False", "True")),
        (np.array(["b", "a"])[Y], ("a", "b")),
        (np.array([b"b", b"a"])[Y], ("a", "b")),
        (Y.astype(np.uint8)[:, None], ("0", "1")),
        (X[:, 0].astype(np.float32), ()),
        (np.arange(40) // 20 + 0.5, ()),
    ],
)
def test_npz_task_follows_from_the_target(tmp_path, y, classes):
    d = data.load(write_npz(tmp_path, x=X, y=y))
    check_shapes(d)
    assert d.classes == classes


@pytest.mark.parametrize(
    ("shape", "image_shape", "groups"),
    [
        ((40, 4, 3), (1, 4, 3), 1),
        ((40, 3, 4, 2), (3, 4, 2), 3),
        ((40, 4, 4, 3), (4, 4, 3), 4),
        ((40, 5, 4, 3), None, 1),
        ((40, 2, 2, 2, 2), None, 1),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_npz_images_are_flattened(tmp_path, shape, image_shape, groups, dtype):
    x = np.random.default_rng(1).integers(0, 256, shape).astype(dtype)
    d = data.load(write_npz(tmp_path, x=x, y=Y))
    check_shapes(d)
    assert d.image_shape == image_shape
    assert d.n_features == np.prod(shape[1:])
    sliced = d.x_train.reshape(24, groups, -1)
    assert_allclose(sliced.mean(dim=(0, 2)), 0, atol=1e-6)
    assert_allclose(sliced.std(dim=(0, 2), correction=0), 1, atol=1e-5)
    assert (d.x_train.mean(dim=0).abs() > 1e-3).any()  # not each pixel for itself


def test_pixels_and_floats_are_standardised_alike(tmp_path):
    x = np.random.default_rng(2).integers(0, 256, (40, 5)).astype(np.uint8)
    x[:, 2] = 9
    pixels = data.load(write_npz(tmp_path, x=x, y=Y))
    floats = data.load(write_npz(tmp_path, x=x.astype(float), y=Y))
    torch.testing.assert_close(pixels.x_train, floats.x_train, rtol=1e-5, atol=1e-5)
    assert_array_equal(pixels.x_train[:, 2], 0)


def with_value(array, index, value):
    changed = np.array(array, dtype=float)
    changed[index] = value
    return changed


BAD_NPZ = {
    "no x": ({"x_train": X, "y": Y}, ["x, y", "'x_train', 'y'"]),
    "no y": ({"x": X}, ["x, y", "'x'"]),
    "empty": ({}, ["none"]),
    "x_test alone": ({"x": X, "y": Y, "x_test": X}, ["x_test, y_test", "save y_test"]),
    "y_test alone": ({"x": X, "y": Y, "y_test": Y}, ["save x_test"]),
    "object x": ({"x": X.astype(object), "y": Y}, ["x", "allow_pickle"]),
    "object y": ({"x": X, "y": Y.astype(object)}, ["y", "allow_pickle"]),
    "words in x": ({"x": X.astype(str), "y": Y}, ["numbers in x", "<U"]),
    "complex x": ({"x": X.astype(complex), "y": Y}, ["complex128"]),
    "dates in y": ({"x": X, "y": Y.astype("M8[D]")}, ["datetime64"]),
    "flat x": ({"x": X[:, 0], "y": Y}, ["(rows, features)", "(40,)"]),
    "no rows": ({"x": X[:0], "y": Y[:0]}, ["(0, 4)"]),
    "no features": ({"x": X[:, :0], "y": Y}, ["(40, 0)"]),
    "length": ({"x": X, "y": Y[:-1]}, ["(40,)", "(39,)"]),
    "one-hot y": ({"x": X, "y": np.eye(2)[Y]}, ["(40, 2)", "argmax"]),
    "nan x": ({"x": with_value(X, (17, 2), np.nan), "y": Y}, ["row 17", "feature 2", "nan"]),
    "inf x": ({"x": with_value(X, (0, 3), -np.inf), "y": Y}, ["row 0", "feature 3", "-inf"]),
    "nan y": ({"x": X, "y": with_value(Y, 5, np.nan)}, ["y, row 5", "nan"]),
    "inf y": ({"x": X, "y": with_value(Y, 5, np.inf)}, ["y, row 5", "inf"]),
    "empty word": ({"x": X, "y": np.array(["a", ""])[Y]}, ["y, row 1", "''"]),
    "nan x_test": ({"x": X, "y": Y, "x_test": with_value(X, (3, 1), np.nan), "y_test": Y}, ["x_test, row 3"]),
    "features": ({"x": X, "y": Y, "x_test": X[:, :3], "y_test": Y}, ["(4,)", "(3,)"]),
    "test shape": ({"x": X, "y": Y, "x_test": X.reshape(40, 2, 2), "y_test": Y}, ["(4,)", "(2, 2)"]),
    "test length": ({"x": X, "y": Y, "x_test": X, "y_test": Y[1:]}, ["y_test", "x_test", "(39,)"]),
    "unseen": ({"x": X, "y": Y, "x_test": X, "y_test": Y + 1}, ["'0', '1'", "'2'"]),
    "test kind": ({"x": X, "y": Y, "x_test": X, "y_test": Y.astype(str)}, ["int64", "<U"]),
    "one class": ({"x": X, "y": Y * 0}, ["only '0'"]),
    "float classes": ({"x": X, "y": Y.astype(float)}, ["2 different floats ('0.0', '1.0')", "task=regression"]),
    "many integers": ({"x": X, "y": np.arange(40)}, ["40 different integers ('0', '1'", "task=classification"]),
    "few rows": ({"x": X[:9], "y": Y[:9]}, ["at least 10 rows", "got 9"]),
    "wide": ({"x": X * 5e306, "y": Y}, ["'x0'", "float32"]),
}


@pytest.mark.parametrize("case", BAD_NPZ)
def test_bad_npz_files(tmp_path, case):
    arrays, words = BAD_NPZ[case]
    with one_line(ValueError, "arrays.npz", *words):
        data.load(write_npz(tmp_path, **arrays))


def test_npz_that_is_none(tmp_path):
    path = tmp_path / "a.npz"
    for content in (b"", b"\x93NUMPY", b"x,y\n1,2\n"):
        path.write_bytes(content)
        with one_line(ValueError, "a.npz", "numpy.savez"):
            data.load(path)
    good = write_npz(tmp_path, x=X, y=Y)
    damaged = bytearray(good.read_bytes())
    damaged[200:400] = bytes(200)
    good.write_bytes(damaged)
    with one_line(ValueError, "arrays.npz", "plain array"):
        data.load(good)


# --- the real files ---


def check_real_images(d: data.Data, sizes: tuple[int, int, int], per_class: int) -> None:
    check_shapes(d)
    assert (len(d.x_train), len(d.x_val), len(d.x_test)) == sizes
    shape = d.image_shape
    assert shape is not None
    assert np.prod(shape) == d.n_features
    channels = d.x_train.reshape(sizes[0], shape[0], -1)
    for channel in range(shape[0]):
        assert_allclose(channels[:, channel].mean(), 0, atol=1e-4)
        assert_allclose(channels[:, channel].std(), 1, atol=1e-4)
    assert_array_equal(torch.bincount(d.y_train), per_class * sizes[0] // sum(sizes[:2]))
    assert_array_equal(torch.bincount(d.y_val), per_class * sizes[1] // sum(sizes[:2]))


def test_real_mnist(real_data):
    root = real_data("mnist")
    labels = published_sets.read_idx(root / "mnist" / "train-labels-idx1-ubyte.gz", 1)
    assert labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    d = data.load("mnist", root=root)
    check_shapes(d)
    assert (len(d.x_train), len(d.x_val), len(d.x_test)) == (54000, 6000, 10000)
    assert d.y_test[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    counts = np.array([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949])
    assert_array_equal(np.bincount(labels), counts)
    assert_array_equal(torch.bincount(d.y_train) + torch.bincount(d.y_val), counts)
    assert np.abs(torch.bincount(d.y_val).numpy() - counts / 10).max() < 1
    assert_allclose(d.x_train.mean(), 0, atol=1e-5)
    assert_allclose(d.x_train.std(), 1, atol=1e-5)
    train = {row.tobytes() for row in d.x_train.numpy()}  # the authors' 60,000 images are all different
    val = {row.tobytes() for row in d.x_val.numpy()}
    assert (len(train), len(val)) == (54000, 6000)
    assert not train & val


def test_real_fashion_mnist(real_data):
    d = data.load("fashion_mnist", root=real_data("fashion-mnist"))
    check_real_images(d, (54000, 6000, 10000), 6000)
    assert d.y_test[:5].tolist() == [9, 2, 1, 1, 6]


@pytest.mark.slow
def test_real_cifar10(real_data):
    d = data.load("cifar10", root=real_data("cifar10"))
    check_real_images(d, (45000, 5000, 10000), 5000)
    assert_array_equal(torch.bincount(d.y_test), 1000)
    assert [d.classes[y] for y in d.y_test[:4]] == ["cat", "ship", "ship", "airplane"]


def test_real_adult(real_data):
    root = real_data("adult")
    for stem, known in published_sets.ADULT_SHA256.items():
        content = source_files.read_file(source_files.find_file(root, "adult", stem))
        assert hashlib.sha256(content).hexdigest() == known
    d = data.load("adult", root=root)
    check_shapes(d)
    assert (len(d.x_train) + len(d.x_val), len(d.x_val), len(d.x_test)) == (32561, 3256, 16281)
    assert d.n_features >= 105
    assert d.classes == ("<=50K", ">50K")
    assert_array_equal(torch.bincount(d.y_train) + torch.bincount(d.y_val), [24720, 7841])
    assert_array_equal(torch.bincount(d.y_test), [12435, 3846])
    missing = d.feature_names.index("workclass=?")
    assert d.x_train[:, missing].sum() + d.x_val[:, missing].sum() == 1836
    numbers = [i for i, name in enumerate(d.feature_names) if "=" not in name]
    assert len(numbers) == 6
    assert_allclose(d.x_train[:, numbers].mean(dim=0), 0, atol=1e-4)
    assert_allclose(d.x_train[:, numbers].std(dim=0), 1, atol=1e-4)
