"""One rule of what an edge is: the same for arrays, SciPy matrices, torch tensors and Matrix Market files."""

import numpy as np
import pytest
import scipy.io
import scipy.sparse
import torch

from prewired import Topology
from prewired.io import from_matrix_market, from_weights

DENSE = np.array([[0, 1, -1], [2, 0, 0]])
FORMS = {
    "list": lambda a: a.tolist(),
    "array": lambda a: a,
    "coo": scipy.sparse.coo_array,
    "csr": scipy.sparse.csr_array,
    "csc": scipy.sparse.csc_matrix,
    "lil": scipy.sparse.lil_array,
    "dok": scipy.sparse.dok_array,
    "bsr": scipy.sparse.bsr_array,
    "dia": scipy.sparse.dia_array,
    "torch": torch.from_numpy,
    "torch coo": lambda a: torch.from_numpy(a).to_sparse_coo(),
    "torch csr": lambda a: torch.from_numpy(a).to_sparse_csr(),
    "torch csc": lambda a: torch.from_numpy(a).to_sparse_csc(),
    "torch transposed": lambda a: torch.from_numpy(np.ascontiguousarray(a.T)).t(),
    "not contiguous": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
}


@pytest.mark.filterwarnings("ignore:Sparse CS[RC] tensor support is in beta")
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int64", "float32", "float64"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_mask_gives_the_same_edges(form, dtype):
    mask = DENSE.astype(dtype)
    t = Topology.from_mask(FORMS[form](mask))
    assert (t.n_in, t.n_out) == (3, 2)
    assert t.indices.tolist() == [1, 2, 0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float8_e4m3fn, torch.float8_e5m2])
@pytest.mark.parametrize("to", [torch.Tensor.clone, torch.Tensor.to_sparse_coo])
def test_types_that_numpy_lacks(to, dtype):
    if to is torch.Tensor.to_sparse_coo and "float8" in str(dtype):
        pytest.skip("torch has no sparse float8")
    mask = torch.tensor(DENSE).to(dtype)
    assert Topology.from_mask(to(mask)) == Topology.from_mask(DENSE)
    assert from_weights({"w": mask}) == {"w": Topology.from_mask(DENSE)}


@pytest.mark.parametrize("low", [np.int8, np.int16, np.int32, np.int64])
def test_the_lowest_integer_is_an_edge(low):
    mask = np.array([[np.iinfo(low).min, 0]], low)
    assert from_weights({"w": mask})["w"].indices.tolist() == [0]
    assert Topology.from_mask(mask).indices.tolist() == [0]


SPARSE = scipy.sparse.coo_array
ENTRIES = [[np.nan, 0.0]]


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.array(ENTRIES), "got NaN"),
        (SPARSE(np.array(ENTRIES)), "got NaN"),
        (torch.tensor(ENTRIES), "got NaN"),
        (torch.tensor(ENTRIES).to_sparse_coo(), "got NaN"),
        (np.array([["0", "1"]]), "real numbers or booleans, got entries of type <U1"),
        (np.array([[b"0", b"1"]]), "real numbers or booleans"),
        (np.array([[None, 1]]), "real numbers or booleans, got entries of type object"),
        (np.array([["2020-01-01"]], "M8[D]"), "real numbers or booleans"),
        (np.array([[1j, 0]]), "got entries of type complex128"),
        (SPARSE(np.array([[1j, 0]])), "got entries of type complex128"),
        (torch.tensor([[1j, 0]]), "got entries of type complex64"),
        (torch.tensor([[1j, 0]]).conj(), "got entries of type complex64"),
        (torch.empty(2, 2, device="meta"), "meta device"),
        ([[1, 0], [1]], "rows of equal length"),
        (np.ones(3), r"shape \(n_out, n_in\), got shape \(3,\)"),
        (torch.ones(1, 2, 3), "got shape"),
        (torch.ones(2, 2, 2).to_sparse_coo(), "got shape"),
        (SPARSE(([1, -1], ([0, 0], [0, 0])), shape=(2, 2)), "row 0, column 0 .* more than once"),
        (SPARSE(([1, 0], ([1, 1], [0, 0])), shape=(2, 2)), "row 1, column 0 .* more than once"),
        (scipy.sparse.csr_array(([1, 1], [1, 1], [0, 2]), shape=(1, 2)), "row 0, column 1 .* more than once"),
        (
            torch.sparse_coo_tensor([[0, 0], [1, 1]], [1.0, -1.0], (2, 2), check_invariants=True),
            "row 0, column 1 .* more",
        ),
    ],
)
def test_what_is_no_mask_is_refused(mask, message):
    with pytest.raises(ValueError, match=message):
        Topology.from_mask(mask)


def test_stored_zeros_are_no_edges_and_infinities_are():
    mask = SPARSE(([0.0, -0.0, np.inf, 5e-324], ([0, 0, 1, 1], [0, 1, 0, 1])), shape=(2, 2))
    assert Topology.from_mask(mask).biadjacency().toarray().tolist() == [[0, 0], [1, 1]]
    assert Topology.from_mask(mask.toarray()) == Topology.from_mask(mask)


def test_a_matrix_is_left_as_it_is():
    mask = scipy.sparse.csr_array(([0, 2, 1], [2, 1, 0], [0, 3]), shape=(1, 3))
    Topology.from_mask(mask)
    assert (mask.indices.tolist(), mask.data.tolist()) == ([2, 1, 0], [0, 2, 1])


@pytest.mark.parametrize("gap", ["", "  "])
@pytest.mark.parametrize("end", ["", "\n", " ", "\t\n\n", "\r\n"])
@pytest.mark.parametrize("symmetry", ["general", "symmetric", "skew-symmetric"])
def test_matrix_market_files_by_hand(symmetry, end, gap, tmp_path):
    path = tmp_path / "mask.mtx"
    lines = [f"%%MatrixMarket matrix coordinate real {symmetry}", "% a comment", "", "2 2 2", "2 1 0.5", "2 2 0"]
    path.write_text("\n".join(line + gap for line in lines) + end)
    expected = [[0, 0], [1, 0]] if symmetry == "general" else [[0, 1], [1, 0]]
    assert from_matrix_market(path).biadjacency().toarray().tolist() == expected


@pytest.mark.parametrize(
    ("sizes", "entries", "message"),
    [
        (
            "3000000000 2 1",
            "1 1",
            "at most 33,554,432 outputs for 1 edges, got 3,000,000,000, which would take 22.4 GiB",
        ),
        ("2 3000000000 1", "1 1", "at most 33,554,432 inputs"),
        ("2 2 100000000000000", "1 1", "announces 100,000,000,000,000 entries, but is long enough for 1 only"),
        ("2 2 -1", "1 1", "line of sizes"),
        ("2 2 1e3", "1 1", "line of sizes"),
        ("2 2", "1 1", "line of sizes"),
        ("2 2 99999999999999999999", "1 1", "line of sizes"),
        ("2 2 2", "1 1\n1 1", "row 0, column 0 .* more than once"),
        ("2 2 1", "3 1", "Matrix Market"),
        ("2 2 1", "0 1", "Matrix Market"),
        ("2 2 2", "1 1", "Matrix Market"),
        ("2 2 1", "1 1\n2 2", "Matrix Market"),
        ("2 2 1", "x y", "Matrix Market"),
        ("0 0 0", "", "Matrix Market"),
    ],
)
def test_wrong_matrix_market_files_are_refused(sizes, entries, message, tmp_path):
    path = tmp_path / "mask.mtx"
    path.write_text(f"%%MatrixMarket matrix coordinate pattern general\n{sizes}\n{entries}\n")
    with pytest.raises(ValueError, match=message):
        from_matrix_market(path)


@pytest.mark.parametrize(
    "line", ["matrix array real general\n40000 40000\n1", "matrix coordinate complex general\n1 1 1"]
)
def test_matrix_market_files_that_are_too_short_or_complex(line, tmp_path):
    path = tmp_path / "mask.mtx"
    path.write_text(f"%%MatrixMarket {line}\n")
    with pytest.raises(ValueError, match=r"announces 1,600,000,000 entries|complex"):
        from_matrix_market(path)


def test_masked_entries_are_refused():
    values = np.ma.array([[1, 1]], mask=[[False, True]])
    with pytest.raises(ValueError, match="without masked entries, got some"):
        Topology.from_mask(values)
    assert Topology.from_mask(values.filled(0)).n_edges == 1
