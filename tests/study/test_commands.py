"""The verbs of a study that users call."""

import pytest

from prewired import study


def test_a_report_writes_page_tables_and_pictures(finished_study, tmp_path):
    paths = study.report(finished_study[0], tmp_path / "a" / "b")
    assert all(path.is_file() and path.parent == tmp_path / "a" / "b" for path in paths)
    names = [path.name for path in paths]
    assert names[0] == "report.html"
    assert {"table.md", "results.csv", "summary.json", "score_by_density.png", "biadjacency.png"} <= set(names)
    assert sorted(path.name for path in finished_study[0].iterdir()) == ["runs.sqlite"]


def test_there_is_nothing_to_report(tmp_path):
    with pytest.raises(OSError, match=r"runs\.sqlite"):
        study.report(tmp_path)
