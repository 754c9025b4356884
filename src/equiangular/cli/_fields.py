"""A command's options from the fields of a configuration: names, types, defaults and help are written once."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from equiangular._guarded import parse_yaml

if TYPE_CHECKING:
    from rich.progress import Progress

SHORT = {"learning_rate": ("--lr",)}

# What several commands take.
Data = Annotated[str | None, typer.Argument(help="Data set: a file, a folder, or a name such as digits.")]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run (or of a model, such as RUN/best).")]
Prior = Annotated[
    str | None,
    typer.Option(
        metavar="PRIOR",
        help="Class prior of the predictions: uniform, train (the training data's), or a JSON/YAML file with a weight "
        "for each class; default: the one that the method is made for.",
    ),
]
Accelerator = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Folder = Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the results.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]


def names_of(text: str | None) -> tuple[str, ...]:
    """The names in a text that parts them by commas."""
    return tuple(filter(None, map(str.strip, (text or "").split(","))))


def named(data: str | None, command: str) -> str:
    """The data that were named.

    Raises:
        ValueError: none were; nothing is trained unasked.
    """
    if data is None:
        raise ValueError(
            f"name the data to {command}: a file, a folder, or a name of `equiangular list data`. For a first look: "
            f"equiangular {command} digits"
        )
    return data


def own_folder(command: str, data: str, encoder: str | None = None) -> Path:
    """The folder for what a command makes of a data set, where none is named.

    Example:
        >>> [own_folder("train", name).name for name in ("digits", "data/my.npz", "torchvision:CIFAR10", "photos/")]
        ['train-digits', 'train-my', 'train-CIFAR10', 'train-photos']
        >>> own_folder("compare", "banking77", "timm:vit").name
        'compare-banking77-timm-vit'
    """
    names = (Path(data.partition(":")[2] or data).stem, encoder or "")
    return Path("runs") / "-".join([command, *(re.sub(r"[^\w.]+", "-", name).strip("-.") for name in names if name)])


def progress_bar(unit: str | None = None, *, bar: bool = True, quiet: bool = False) -> Progress:
    """Progress on standard error: a bar, a count of ``unit`` (None: no count), and the time."""
    from rich import progress
    from rich.console import Console

    columns: list[Any] = [progress.TextColumn("{task.description}"), *([progress.BarColumn()] if bar else [])]
    columns += [] if unit is None else [progress.MofNCompleteColumn(), progress.TextColumn(unit)]
    columns += [progress.TimeElapsedColumn(), *([progress.TimeRemainingColumn()] if bar else [])]
    return progress.Progress(*columns, console=Console(stderr=True), disable=quiet, transient=True)


def field_help(kind: type) -> dict[str, str]:
    """What the ``Attributes`` sections of a dataclass and of its parents say about each field, as plain text.

    Example:
        >>> from equiangular.training.config.budget import Budget
        >>> field_help(Budget)["epochs"]
        'passes over the training data.'
    """
    found: dict[str, str] = {}
    for cls in reversed(kind.__mro__):
        section = re.search(r"Attributes:\n(.*?)(?:\n\n|\Z)", inspect.cleandoc(cls.__doc__ or ""), re.DOTALL)
        lines = section.group(1) if section else ""
        for name, text in re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", lines, re.MULTILINE):
            plain = re.sub(r":\w+:`(?:~?[\w.]+\.)?(\w+)`", r"\1", " ".join(text.split())).replace("``", "")
            found[name] = plain
    return found


def options_of(
    kind: type,
    *,
    leave: tuple[str, ...] = (),
    panels: dict[str, type] | None = None,
    defaults: Mapping[str, str] | None = None,
) -> Callable:
    """Give a command one option for each field of ``kind``; those not given reach it as None, in ``**fields``.

    Args:
        kind: a dataclass of numbers, texts, truth values and mappings; mappings are given as ``name=value,...``.
        leave: fields without an option.
        panels: headings in the help, each with the class whose fields stand under it.
        defaults: what the help says of a default that the command itself decides, by field.
    """
    described, hints = field_help(kind), typing.get_type_hints(kind)
    panel_of = {f.name: title for title, cls in (panels or {}).items() for f in fields(cls)}

    def decorate(command: Callable) -> Callable:
        own = inspect.signature(command, eval_str=True)
        parameters = [p for p in own.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        for f in fields(kind):
            if f.name in leave:
                continue
            names = [f"--{f.name.replace('_', '-')}", *SHORT.get(f.name, ())]
            if hints[f.name] == bool | None:  # three answers: yes, no, and as the command sees fit
                names = [f"{names[0]}/--no-{names[0][2:]}", *names[1:]]
            shown: Any = f.default if isinstance(f.default, (int, float, str, bool)) and f.default != "" else None
            shown = (defaults or {}).get(f.name, shown)
            text = described.get(f.name, "").replace("[", r"\[")
            text = text[:1].upper() + text[1:] + ("" if shown is None else f" Default: {shown}.")
            info = typer.Option(*names, help=text, show_default=False, rich_help_panel=panel_of.get(f.name))
            annotation = Annotated[_option_type(hints[f.name]) | None, info]
            parameters.append(
                inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
            )
        command.__signature__ = own.replace(parameters=parameters)
        command.__annotations__ = {p.name: p.annotation for p in parameters}
        return command

    return decorate


def _option_type(hint: Any) -> type:
    """What typer parses for a field's type: mappings and lists are read from a text; a choice is checked later."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        hint = next(option for option in typing.get_args(hint) if option is not type(None))
    return str if typing.get_origin(hint) in (dict, tuple, typing.Literal) or hint is dict else hint


def as_options(message: str, options: Mapping[str, str]) -> str:
    """An error's text with the arguments of Python said as options: the one place where that is done.

    What changes: an argument with its value (``mix='mixup:0.2'``), or with none (``root=``); a name that has an
    underscore; a name that opens a sentence and must be something. A remark "(in Python ...)", or the option in
    brackets after its argument, falls away.

    Args:
        message: what broke, in the words of Python.
        options: the option of each argument of the command.

    Example:
        >>> as_options(
        ...     "Use augment='none'; batch_size must be 2.", {"augment": "--augment", "batch_size": "--batch-size"}
        ... )
        'Use --augment none; --batch-size must be 2.'
    """
    text = re.sub(r" \(in Python [^)]*\)", "", message)
    for name, option in options.items():
        start = rf"(?<![\w./'\"=-]){re.escape(name)}"
        text = re.sub(
            rf"{start}=(True\b|'[^']*'|\"[^\"]*\"|[\w:+-][\w.:+-]*\b)?( \({option}\))?", partial(_said, option), text
        )
        text = re.sub(rf"{start}(?![\w.'\"=/-])" if "_" in name else rf"(?:^|(?<=[.:] )){name}(?= must )", option, text)
    return text


def _said(option: str, found: re.Match[str]) -> str:
    value = (found[1] or "").strip("'\"")
    return option if value in ("", "True") else f"{option} {value}"


def parse_texts(kind: type, given: dict[str, Any]) -> dict[str, Any]:
    """Option values with texts of mappings (``norm=batch,scale=0.5``) and lists (``20,100``) read, or a ValueError."""
    hints = typing.get_type_hints(kind)
    return {name: _parse(name, value, hints[name]) for name, value in given.items()}


def _parse(name: str, value: Any, hint: Any) -> Any:
    if not isinstance(value, str) or typing.get_origin(hint) not in (dict, tuple):
        return value
    items, what = names_of(value), f"--{name.replace('_', '-')} {value!r}"
    if typing.get_origin(hint) is tuple:
        return [parse_yaml(item, what=what) for item in items]
    if any("=" not in item for item in items):
        raise ValueError(f"--{name} must be name=value,name=value, got {value!r}.")
    pairs = [(key.strip(), text) for key, _, text in (item.partition("=") for item in items)]
    if odd := [key for i, (key, _) in enumerate(pairs) if not key or key in dict(pairs[:i])]:
        raise ValueError(f"--{name} has {f'{odd[0]!r} twice' if odd[0] else 'a value without a name'}, got {value!r}.")
    return {key: parse_yaml(text, what=what) for key, text in pairs}
