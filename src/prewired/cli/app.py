"""The command line: `prewired VERB`. A verb's file is imported when the verb is used."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal, get_args, get_origin

from cyclopts import App, CycloptsError, Group, Parameter
from cyclopts.exceptions import (
    CoercionError,
    MissingArgumentError,
    RepeatArgumentError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from .._version import __version__
from .options import nearest, printable

USER_ERRORS = (ValueError, OSError, RuntimeError, ImportError, MemoryError, FloatingPointError)

VERBS = {
    "Graphs": {
        "catalogue:families": "List the families of graphs: their names, the sizes they exist for, what they are.",
        "graphs:generate": "Generate one topology, or those of a family of several layers, and save them.",
        "graphs:draw": "Draw the biadjacency matrix of a saved topology or of a family.",
        "measure:measure": "Measure topologies, the layers of a network, a family, a saved model or a study.",
        "catalogue:metrics": "List the metrics, or print the page of one: formula, range, cost and source.",
    },
    "Networks": {
        "train:train": "Train one network and print its test score.",
        "ship:sizes": "Tell what a saved network and its dense twin take in memory, on disk and in arithmetic.",
        "ship:quantize": "Save a network with its weights in fewer bits, and print its test score before and after.",
        "ship:export": "Write a saved network as ONNX, as C or as a program of torch, and verify the file.",
    },
    "Studies": {
        "study:study": "Compare families and densities with dense networks; run it again to go on after a stop.",
        "study:report": "Write the page, tables and pictures of a study, finished or not.",
        "study:status": "Tell how far a study is, whether it is running, and how long it may take.",
    },
    "This machine": {
        "bench:bench": "Measure the densities at which dense layers become faster here, for kernel='auto'.",
    },
}
"""Heading in the help -> file and function of a verb -> the first line of its docstring."""

FLAGS = ("--help", "-h", "--version", "--install-completion", "__complete")
"""First words that are no verbs; installed completion calls `prewired __complete`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    The code is 0, 2 for a user's error, or 128 plus the number of the signal that stopped the command: 130 for Ctrl-C,
    143 for SIGTERM, 129 for SIGHUP.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in FLAGS:
        return _run(words)
    from ..io.stop_signals import interrupt_on_stop_signals  # not at the top: the help starts without numpy

    with interrupt_on_stop_signals() as received:
        try:
            return _run(words)
        except KeyboardInterrupt as interruption:
            with suppress(OSError):  # the terminal may be closed
                print(f"interrupted: {printable(str(interruption))}".rstrip(": "), file=sys.stderr)
            return 128 + (received[0] if received else signal.SIGINT)


def _run(words: Sequence[str]) -> int:
    """Run one command; return its exit code."""
    try:
        if sys.__stdout__ is None:
            raise OSError("expected an open standard output, got a closed one; redirect it to /dev/null instead")
        _check_verb(words)
        create_app(words[0])(words)
        sys.stdout.flush()
    except SystemExit as stop:  # raised by rich when the reader of the help has gone
        return 141 if stop.code else 0
    except BrokenPipeError:  # the reader, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except CycloptsError as error:
        _print_error(f"{_usage_error(error, words[0])} (see prewired {words[0]} --help)")
        return 2
    except USER_ERRORS as error:
        _print_error(_one_line(error))
        return 2
    return 0


def create_app(verb: str = "") -> App:
    """Create the command line; the help of `verb` is its docstring, that of the others the line in VERBS."""
    app = App(
        name="prewired",
        help="Sparse neural networks whose wiring is chosen before training.",
        version=f"prewired {__version__}",
        version_format="plaintext",
        help_format="plaintext",
        default_parameter=Parameter(
            allow_repeating=True, negative_bool=(), negative_iterable=(), json_list=False, json_dict=False
        ),
        group_parameters=Group("Options"),
        group_commands=Group("Options", sort_key=len(VERBS)),
        suppress_keyboard_interrupt=False,
        exit_on_error=False,
        print_error=False,
        result_action="return_value",
    )
    for order, (heading, verbs) in enumerate(VERBS.items()):
        group = Group(heading, sort_key=order)
        for place, summary in verbs.items():
            name = place.partition(":")[2]
            text = {} if name == verb else {"help": summary}
            app.command(f"{__package__}.{place}", name=name, group=group, sort_key=len(list(app)), **text)
    app.register_install_completion_command(help="Install completion of words for this shell.")
    return app


def _check_verb(words: Sequence[str]) -> None:
    names = [place.partition(":")[2] for verbs in VERBS.values() for place in verbs]
    if not words:
        raise ValueError("expected a VERB, got none; see prewired --help")
    verb = words[0]
    if verb not in (*names, *FLAGS):
        close = nearest(verb, [*names, *(flag for flag in FLAGS if flag.startswith("-"))])
        raise ValueError(f"expected a verb among {', '.join(names)}, got {verb!r}{close} (see prewired --help)")


def _usage_error(error: CycloptsError, verb: str) -> str:
    """The words for a command line that does not fit a verb's options."""
    name = error.argument.name if error.argument else "a value"
    if isinstance(error, RepeatArgumentError):
        return f"expected {error.token.keyword} once, got it several times; leave all but one out"
    if isinstance(error, MissingArgumentError):
        return f"expected a value for {name}, got none"
    if isinstance(error, UnusedCliTokensError):
        return f"expected no more words, got {' '.join(error.unused_tokens or ())}"
    if isinstance(error, UnknownOptionError) and error.token:
        word = error.token.keyword or error.token.value
        options = [name for argument in error.argument_collection or () for name in argument.names]
        return f"expected an option of {verb}, got {word}{nearest(word, options)}"
    if isinstance(error, CoercionError) and error.token:
        name, value = error.token.keyword or name, error.token.value
        if error.msg:  # from a converter of options.py
            return f"{name}: {error.msg}"
        if get_origin(error.target_type) is Literal:
            choices = [str(choice) for choice in get_args(error.target_type)]
            return f"expected one of {', '.join(choices)} for {name}, got {value!r}{nearest(value, choices)}"
        kind = {int: "an integer", float: "a number", bool: "true or false"}.get(error.target_type, "another value")
        return f"expected {kind} for {name}, got {value!r}"
    return _one_line(error)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    from_system = isinstance(error, OSError) and error.errno is not None
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):  # the disk is full
        return f"{text}; make room on the disk, or write to another"
    return f"{text}; check the path and its permissions" if from_system else text


def _print_error(text: str) -> None:
    with suppress(OSError):  # the terminal may be closed
        print(f"prewired: error: {printable(text)}", file=sys.stderr)
