"""Files that take the place of others only when they are complete."""

import errno
import os
import resource
import shutil
import threading

import pytest

from prewired.io import atomic_write
from prewired.io.atomic_write import check_destination, check_suffix, replacing


def test_the_old_content_stays_until_the_new_is_complete(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(TypeError), replacing(path) as part:
        part.write_text("half") and part.write_text(None)
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("a.txt", "old")]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "folder").mkdir()
    real, link = tmp_path / "folder" / "real.txt", tmp_path / "link.txt"
    real.write_text("old")
    link.symlink_to(real)
    with replacing(link) as part:
        part.write_text("new")
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert {one.name for one in tmp_path.rglob("*")} == {"folder", "real.txt", "link.txt"}


def test_names_as_long_as_the_disk_takes_and_several_at_a_time(tmp_path):
    path = tmp_path / ("a" * 250 + ".txt")
    together = threading.Barrier(4, timeout=20)

    def write(k):
        with replacing(path) as part:
            part.write_text(str(k))
            together.wait()

    threads = [threading.Thread(target=write, args=(k,)) for k in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert path.read_text() in "0123"
    assert [*tmp_path.iterdir()] == [path]


def test_what_cannot_be_a_file_is_told(tmp_path):
    (tmp_path / "plain.txt").touch()
    for path, error, remedy in (
        (tmp_path / "no" / "a", FileNotFoundError, r"; make it first, or check the path$"),
        (tmp_path, IsADirectoryError, r"; check the path$"),
        (tmp_path / "plain.txt" / "a", NotADirectoryError, r"plain.txt' is a file; choose another folder$"),
        (tmp_path / "plain.txt" / "b" / "a", NotADirectoryError, r"plain.txt' is a file; choose another folder$"),
    ):
        with pytest.raises(error, match=remedy):
            check_destination(path)
        with pytest.raises(error, match=remedy), replacing(path):
            pass
    assert check_destination(tmp_path / "new") == (tmp_path / "new").resolve()


def test_permissions_are_handed_on(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    path.chmod(0o600)
    with replacing(path) as part:
        part.write_text("new")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o600)


def test_devices_stay(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="expected an ordinary file"), replacing(tmp_path / "pipe"):
        pass


def test_a_file_that_is_read_is_not_written(tmp_path, monkeypatch):
    """Fault 1.17: by whatever name the file to write is given."""
    (tmp_path / "folder").mkdir()
    source = tmp_path / "a.txt"
    source.write_text("old")
    os.link(source, tmp_path / "hard.txt")
    (tmp_path / "soft.txt").symlink_to(source)
    (tmp_path / "linked").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    for path in (source, "a.txt", "./a.txt", "folder/../a.txt", "hard.txt", "soft.txt", "linked/a.txt"):
        with pytest.raises(ValueError, match=r"which would be lost; write to a new file$"):
            check_destination(path, inputs=("missing.txt", source))
    assert check_destination("b.txt", inputs=(source,)) == tmp_path.resolve() / "b.txt"


def test_space_is_looked_at_first(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    with pytest.raises(
        OSError, match=r"expected space for 9,000,000,000,000,000 bytes .* make room, or write to another"
    ):
        check_destination(tmp_path / "a", n_bytes=9 * 10**15)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=99))
    with pytest.raises(OSError, match="got 99"):
        check_destination(tmp_path / "a", n_bytes=100)
    check_destination(tmp_path / "a", n_bytes=99)
    assert [*tmp_path.iterdir()] == []


def test_a_folder_that_takes_no_file_is_told(tmp_path, monkeypatch):
    def refuse(path, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.touch", refuse)
    with pytest.raises(PermissionError, match=r"takes a new file, got .* \(Permission denied\); make it writable"):
        check_destination(tmp_path / "a")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_has_its_own_remedy(tmp_path, number):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(OSError, match=r"expected space for .* nothing was changed; make room"), replacing(path) as part:
        part.write_text("half")
        raise OSError(number, os.strerror(number))
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a", "old")]


def test_a_file_beyond_the_limit_of_the_user_leaves_the_old_file(tmp_path):
    path, limits = tmp_path / "a", resource.getrlimit(resource.RLIMIT_FSIZE)
    path.write_text("old")
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"got 'File too large' from the system"), replacing(path) as part:
            part.write_bytes(bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a", "old")]


def test_content_and_name_reach_the_disk_in_this_order(tmp_path, monkeypatch):
    path, calls, rename = tmp_path / "a", [], os.replace
    monkeypatch.setattr(
        os, "fsync", lambda d: calls.append("folder" if os.path.isdir(f"/proc/self/fd/{d}") else "file")
    )
    monkeypatch.setattr("pathlib.Path.replace", lambda a, b: (calls.append("rename"), rename(a, b)))
    with replacing(path) as part:
        part.write_text("new")
    assert calls == ["file", "rename", "folder"]
    assert path.read_text() == "new"


@pytest.mark.parametrize("place", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.EIO, "input/output error"), KeyboardInterrupt()])
def test_no_temporary_file_stays_after_any_failure(tmp_path, monkeypatch, place, error):
    def fail(*_):
        raise error

    path = tmp_path / "a"
    path.write_text("old")
    monkeypatch.setattr(os, place, fail)
    monkeypatch.setattr("pathlib.Path.replace", lambda a, b: os.replace(a, b))
    with pytest.raises(type(error)), replacing(path) as part:
        part.write_text("new")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a", "old")]


def test_a_folder_that_cannot_be_flushed_is_no_failure(tmp_path, monkeypatch):
    flush = atomic_write._flush

    def flush_files(path):
        if path.is_dir():
            raise OSError(errno.EINVAL, "Invalid argument")
        flush(path)

    monkeypatch.setattr(atomic_write, "_flush", flush_files)
    with replacing(tmp_path / "a") as part:
        part.write_text("new")
    assert (tmp_path / "a").read_text() == "new"


@pytest.mark.parametrize("name", ["net.pt", "net.PTH", "net.onnx", "folder/a.csv"])
def test_an_ending_of_another_format_is_refused(name):
    with pytest.raises(
        ValueError, match=r"expected a file that ends in \.safetensors, .*; write to '\w+\.safetensors'"
    ):
        check_suffix(name, ".safetensors")
    check_suffix("net", ".safetensors")
    check_suffix("net.v1", ".safetensors")
