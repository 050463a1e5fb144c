"""What the command line imports: the verbs that need no network start without torch, all start without pictures."""

import json
import subprocess
import sys

import pytest

from prewired.cli.app import VERBS, create_app

HEAVY = ["torch", "matplotlib", "prewired.study", "prewired.nn"]
BAND = ["rotating", "n_in=8", "n_out=8", "fan_in=2"]
CODE = """
import json, sys
from prewired.cli import main
code = main(json.loads(sys.argv[1]))
print(json.dumps([code, [name for name in json.loads(sys.argv[2]) if name in sys.modules]]), file=sys.stderr)
"""


def imported(*words, modules=HEAVY):
    """Run a command in a new process; return which of the modules it has imported."""
    arguments = [sys.executable, "-c", CODE, json.dumps(words), json.dumps(modules)]
    process = subprocess.run(arguments, capture_output=True, text=True, check=True)
    code, names = json.loads(process.stderr.splitlines()[-1])
    assert code == 0, process.stderr
    return names


@pytest.mark.parametrize(
    "words", [["families"], ["families", "biregular"], ["metrics"], ["metrics", "girth"], ["generate", *BAND]], ids=str
)
def test_verbs_of_graphs_import_no_torch(words):
    assert imported(*words) == []


def test_draw_imports_no_torch(tmp_path):
    assert imported("draw", *BAND, "-o", str(tmp_path / "band.svg")) == ["matplotlib"]


def test_the_version_and_the_help_import_no_verb():
    for word in ("--version", "--help"):
        assert imported(word, modules=[*HEAVY, "numpy", "scipy", "prewired.cli.graphs"]) == []


def test_the_help_of_all_verbs_is_the_first_line_of_theirs():
    for verbs in VERBS.values():
        for place, summary in verbs.items():
            verb = place.partition(":")[2]
            assert create_app(verb)[verb].help.partition("\n")[0] == summary
