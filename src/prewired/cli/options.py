"""Options that several verbs share, and options made from the fields of a configuration."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType, NoneType
from typing import Annotated, Any, TypedDict, TypeVar, Unpack, get_args, get_origin, get_type_hints

from cyclopts import Group, Parameter, Token

Verb = TypeVar("Verb", bound=Callable[..., None])

NOTHING: Mapping[str, Any] = MappingProxyType({})
TASKS = ("classification", "regression")
OPTIMIZER_NAMES = ("adam", "sgd")


def _whole_number(_: type, tokens: Sequence[Token]) -> int:
    """An integer as Python writes it; cyclopts alone would round 1.5."""
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"expected an integer, got {tokens[0].value!r}") from None


def _whole_numbers(_: type, tokens: Sequence[Token]) -> tuple[int, ...]:
    return tuple(_whole_number(int, [token]) for token in tokens)


def _family_names(_: object) -> list[str]:
    from ..generators import GENERATORS, NETWORK_FAMILIES  # only a shell that completes words needs them

    return [*GENERATORS, *NETWORK_FAMILIES]


def _metric_names(_: object) -> list[str]:
    from ..metrics import METRICS, NETWORK_METRICS, WEIGHTED_METRICS

    return [*METRICS, *WEIGHTED_METRICS, *NETWORK_METRICS]


SEVERAL = Parameter(consume_multiple=(1, None))
"""One flag takes all words up to the next option; a repeated flag adds to them."""

Integer = Annotated[int, Parameter(converter=_whole_number)]
Integers = Annotated[tuple[int, ...], Parameter(converter=_whole_numbers)]
Widths = Annotated[Integers, SEVERAL, Parameter(allow_repeating=False)]
Family = Annotated[str, Parameter(completer=_family_names)]
MetricName = Annotated[str, Parameter(completer=_metric_names)]
Metrics = Annotated[tuple[str, ...], SEVERAL, Parameter(completer=_metric_names, show_default="all")]
Settings = Annotated[str, Parameter(name="NAME=VALUE", required=False)]
Flag = Annotated[bool, Parameter(show_default=False)]
Output = Annotated[Path, Parameter(alias="-o")]
Network = Annotated[Path, Parameter(help="A network saved by prewired.save or `prewired train -o`.")]
Data = Annotated[
    str,
    Parameter(
        help="Data set: digits, mnist, fashion_mnist, cifar10, adult, or the path of a .npz, .csv or .tsv file.",
        allow_repeating=False,
    ),
]
Target = Annotated[str | None, Parameter(help="Column to predict, for a table such as a .csv file.")]
Decimal = Annotated[str, Parameter(help="Sign before the fraction of a number in a table: a point or a comma.")]
Categorical = Annotated[
    tuple[str, ...],
    SEVERAL,
    Parameter(help="Columns of a table whose cells are words, even if they look like numbers.", show_default=False),
]
Task = Annotated[
    str | None,
    Parameter(help="For a .npz file or a table whose targets could be classes or numbers.", choices=TASKS),
]
Root = Annotated[
    str | None,
    Parameter(help="Folder of the data sets.", show_default="$PREWIRED_DATA, else a cache filled by download"),
]
Threads = Annotated[Integer | None, Parameter(help="Threads of torch.", show_default="as torch chooses")]


def options_of(
    config: type,
    group: str,
    *,
    names: Mapping[str, str] = NOTHING,
    choices: Mapping[str, Iterable[str]] = NOTHING,
    texts: Mapping[str, str] = NOTHING,
    leave_out: Sequence[str] = (),
    once: Sequence[str] = (),
) -> Callable[[Verb], Verb]:
    """Give a verb one option per field of a dataclass, with the field's type, default and help.

    The verb receives the options that are on the command line as **options, by field name.

    Args:
        config: the dataclass; the Args section of its docstring has the help texts and the order of the options.
        group: heading of these options in the help.
        names: field -> option, where the option is not called as the field.
        choices: field -> the words that the option takes.
        texts: field -> help, for fields whose docstring refers to another docstring.
        leave_out: fields without an option.
        once: fields with several values, all behind one flag; a repeated flag is refused.
    """
    own_texts = argument_texts(config)
    order = [*own_texts, *(field.name for field in fields(config) if field.name not in own_texts)]
    by_name = {field.name: field for field in fields(config)}
    hints = get_type_hints(config)
    panel = Group(group, sort_key=1)
    annotations: dict[str, Any] = {}
    for name in order:
        if name not in by_name or name in leave_out:
            continue
        hint = _option_type(hints[name])
        parameter = Parameter(
            name=f"--{names.get(name, name).replace('_', '-')}",
            help=_first_sentence(texts.get(name, own_texts.get(name, ""))),
            show_default=_default_text(by_name[name].default),
            choices=choices.get(name),
            negative_bool="no-",
            consume_multiple=(1, None) if _is_tuple(hint) else None,
            allow_repeating=name not in once,
            group=panel,
        )
        annotations[name] = Annotated[hint, parameter]

    def decorate(verb: Verb) -> Verb:
        typed_dict: Any = TypedDict
        verb.__annotations__["options"] = Unpack[typed_dict(f"{config.__name__}Options", annotations, total=False)]
        return verb

    return decorate


def argument_texts(config: type) -> dict[str, str]:
    """The Args section of a docstring, as name -> text on one line; names before one colon share the text.

    Example:
        >>> from prewired.training import TrainConfig
        >>> argument_texts(TrainConfig)["weight_decay"]
        'each step takes learning_rate * weight_decay of a weight away, >= 0.'
    """
    section = re.search(r"^Args:\n(.*?)(?:\n\n|\Z)", inspect.getdoc(config) or "", re.DOTALL | re.MULTILINE)
    texts: dict[str, str] = {}
    for entry in re.split(r"\n(?= {4}\S)", section[1]) if section else ():
        argument_names, _, text = entry.strip().partition(":")
        texts |= dict.fromkeys(argument_names.split(", "), " ".join(text.split()))
    return texts


def nearest(name: str, names: Iterable[str]) -> str:
    """Write the end of an error message: the name nearest to an unknown name; empty if no name is near.

    Example:
        >>> nearest("grith", ["girth", "density"]), nearest("moon", ["girth"])
        ("; did you mean 'girth'?", '')
    """
    close = get_close_matches(name, names, 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def printable(text: str) -> str:
    """Replace the control characters of a text, which a terminal would obey, by their escapes; line ends stay.

    Example:
        >>> printable("a\\x1b[31mb\\a")
        'a\\\\x1b[31mb\\\\x07'
    """
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def need_packages(*packages: str) -> None:
    """Raise ImportError for a missing package, so that a verb stops before it works for hours."""
    for package in packages:
        if find_spec(package) is None:
            raise ImportError(f"expected the package {package}, got none; pip install 'prewired[study]'")


def _option_type(hint: Any) -> Any:
    """The type of an option's value on the command line: without None, and with integers that are not rounded."""
    members = [member for member in get_args(hint) if member is not NoneType]
    if get_origin(hint) is tuple:
        return Integers if members[0] is int else tuple[members[0], ...]
    if len(members) == 1:
        return _option_type(members[0])
    return Integer if hint is int else hint


def _is_tuple(hint: Any) -> bool:
    return get_origin(hint) is tuple or hint is Integers


def _first_sentence(text: str) -> str:
    """The first sentence of a text, for the help; the documentation has the rest."""
    sentence = re.split(r"\. (?=[A-Z])", text)[0].rstrip(".")
    return sentence[:1].upper() + sentence[1:] + "." if sentence else ""


def _default_text(default: Any) -> str | bool:
    if isinstance(default, tuple):
        return " ".join(map(str, default)) or False
    return str(default) if isinstance(default, str | int | float) and not isinstance(default, bool) else False
