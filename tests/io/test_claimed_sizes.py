"""Files of a few bytes that claim any size are refused with the figure."""

import io
import zipfile

import numpy as np
import pytest
import safetensors.numpy

from prewired import Topology, data
from prewired.io import claimed_sizes, from_edge_list, load_topology, save_topology, topology_file


@pytest.mark.parametrize("line", ["0 2000000000", "2000000000 0", f"{2**31 - 2} {2**31 - 2}"])
def test_edge_lists_of_one_large_number(line, tmp_path):
    path = tmp_path / "edges.txt"
    path.write_text(line)
    with pytest.raises(ValueError, match=r"at most 33,554,432 \w+ for 1 edges, got 2,[\d,]+, which would take 1\d"):
        from_edge_list(path)
    path.write_text("0 " + "9" * 5000)
    with pytest.raises(ValueError, match="line 1: expected two numbers"):
        from_edge_list(path)


def test_the_reader_may_say_that_the_size_is_right(tmp_path):
    path = tmp_path / "edges.txt"
    path.write_text("2000000000 0")
    assert from_edge_list(path, n_in=2**31 - 1).n_in == 2**31 - 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_edge_lists_in_any_unicode(encoding, tmp_path):
    path = tmp_path / "edges.txt"
    path.write_bytes("0 1\r2 0\r\n".encode(encoding))
    assert from_edge_list(path).indices.tolist() == [2, 0]
    path.write_bytes("0 1\n2 0 # Größe\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"edges.txt, line 2: expected UTF-8 text, got the byte 0xf6"):
        from_edge_list(path)


def test_topology_files_that_claim_billions_of_inputs(tmp_path):
    t = Topology(2**31 - 1, 1, [0, 1], [5])
    with pytest.raises(ValueError, match="at most 33,554,432 inputs for 1 edges, got 2,147,483,647"):
        save_topology(t, tmp_path / "large.topology")
    about = {"format": topology_file._FORMAT, "n_in": str(t.n_in), "n_out": "1", "digest": t.digest}
    about["seal"] = topology_file._seal(about)
    path = tmp_path / "small.topology"
    path.write_bytes(safetensors.numpy.save({"indptr": t.indptr, "indices": t.indices}, about))
    with pytest.raises(ValueError, match="a sound topology file: its sizes: expected at most 33,554,432 inputs"):
        load_topology(path)


def test_memory_is_compared_with_that_of_the_machine():
    claimed_sizes.check_memory("a list", 1000)
    with pytest.raises(ValueError, match=r"expected a list to fit into the .* of this machine, got at least 931,322"):
        claimed_sizes.check_memory("a list", 1e15)
    assert 2**28 < claimed_sizes.memory_of_machine() < 2**50


def test_arrays_that_claim_terabytes(tmp_path):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 1), }"
    header += b" " * (117 - len(header)) + b"\n"
    member = io.BytesIO(np.lib.format.magic(1, 0) + len(header).to_bytes(2, "little") + header)
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", member.getvalue())
        archive.writestr("y.npy", member.getvalue())
    with pytest.raises(ValueError, match=r"bomb.npz: expected x .*a header that claims 8,000,000,000,000 bytes"):
        data.load(path)
