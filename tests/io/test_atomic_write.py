"""Files that take the place of others only when they are complete."""

import os
import threading

import pytest

from prewired.io.atomic_write import check_destination, replacing


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
    for path, error in ((tmp_path / "no" / "a", FileNotFoundError), (tmp_path, IsADirectoryError)):
        with pytest.raises(error, match=r"; check the path$"):
            check_destination(path)
        with pytest.raises(error, match=r"; check the path$"), replacing(path):
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
