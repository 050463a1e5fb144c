"""What the command line imports: the verbs that need no network start without torch, all start without pictures."""

import json
import subprocess
import sys

from prewired.cli.app import VERBS, create_app

HEAVY = ["torch", "matplotlib", "prewired.study", "prewired.nn"]
BAND = ["rotating", "n_in=8", "n_out=8", "fan_in=2"]
# A child process for each command, after what all may use is imported once.
CODE = """
import json, os, sys
commands, modules, shared = map(json.loads, sys.argv[1:])
for name in shared:
    __import__(name)
for words in commands:
    if not os.fork():
        from prewired.cli import main
        code = main(words)
        print(json.dumps([words, code, [name for name in modules if name in sys.modules]]), file=sys.stderr, flush=True)
        os._exit(0)
    assert os.wait()[1] == 0, words
"""


def imported(*commands, modules=HEAVY, shared=("numpy", "scipy.sparse.linalg")):
    """Run each command in a new process; return which of the modules each has imported."""
    arguments = [sys.executable, "-c", CODE, *map(json.dumps, (commands, modules, shared))]
    process = subprocess.run(arguments, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    results = [json.loads(line) for line in process.stderr.splitlines()]
    assert [(words, code) for words, code, _ in results] == [(words, 0) for words in commands]
    return [names for *_, names in results]


def test_verbs_of_graphs_import_no_torch(tmp_path):
    commands = [["families"], ["families", "biregular"], ["metrics"], ["metrics", "girth"], ["generate", *BAND]]
    drawing = ["draw", *BAND, "-o", str(tmp_path / "band.svg")]
    assert imported(*commands, drawing) == [[]] * len(commands) + [["matplotlib"]]


def test_the_version_and_the_help_import_no_verb():
    modules = [*HEAVY, "numpy", "scipy", "prewired.cli.graphs"]
    assert imported(["--version"], ["--help"], modules=modules, shared=()) == [[], []]


def test_the_help_of_all_verbs_is_the_first_line_of_theirs():
    for verbs in VERBS.values():
        for place, summary in verbs.items():
            verb = place.partition(":")[2]
            assert create_app(verb)[verb].help.partition("\n")[0] == summary
