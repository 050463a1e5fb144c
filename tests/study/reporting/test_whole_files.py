"""Files of a report: whole or not at all, and no formula for a spreadsheet."""

import pytest

from prewired.io.atomic_write import replacing_files
from prewired.study.reporting.table_files import _guard


def test_files_replace_others_together_or_not_at_all(tmp_path):
    (tmp_path / "a").write_text("old")

    def write_half():
        with replacing_files(tmp_path) as part:
            (part / "a").write_text("new")
            raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        write_half()
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a", "old")]
    with replacing_files(tmp_path) as part:
        (part / "a").write_text("new")
        (part / "b").write_text("other")
    assert sorted((file.name, file.read_text()) for file in tmp_path.iterdir()) == [("a", "new"), ("b", "other")]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1"])
def test_a_text_is_no_formula(text):
    assert _guard(text) == f"'{text}"


@pytest.mark.parametrize("value", [-1, -0.5, "plain", "", None, "a=1"])
def test_other_values_stay(value):
    assert _guard(value) == value
