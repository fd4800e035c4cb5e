# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the values of the command's options mean, and what is wrong with them."""

from __future__ import annotations

import json
from argparse import ArgumentTypeError
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from .faults import Fault
from .model import Task
from .server import Habits, StandIn

Number = TypeVar("Number", int, float)


def number(kind: type[Number], least: Number, most: Number) -> Callable[[str], Number]:
    def parse(text: str) -> Number:
        with suppress(ValueError):
            if least <= (value := kind(text)) <= most:
                return value
        name = "a whole number" if kind is int else "a number"
        raise ArgumentTypeError(f"{text!r} is not {name} from {least} to {most}")

    return parse


def fault(text: str) -> Fault:
    """KIND or KIND:TIMES"""
    kind, colon, times = text.partition(":")
    try:
        return Fault(kind, number(int, 1, 1_000_000)(times) if colon else 1)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def habit(text: str) -> tuple[str, Any]:
    """NAME=VALUE, where the value is JSON, or a string as it stands."""
    name, equals, value = text.partition("=")
    hints = get_type_hints(Habits)
    if not equals or name not in hints:
        raise ArgumentTypeError(f"{text!r} is not NAME=VALUE with one of the names {', '.join(hints)}")
    with suppress(ValueError):
        if fits(decoded := json.loads(value), hints[name]):
            return name, decoded
    if fits(value, hints[name]):
        return name, value
    raise ArgumentTypeError(f"{name} takes {Habits.__annotations__[name]}, not {value!r}")


def account(text: str) -> list[dict[str, Any]]:
    """The arguments for StandIn.add_task from a file {"tasks": [...]}."""
    try:
        content = json.loads(Path(text).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArgumentTypeError(f"{text}: {error}") from None
    if not isinstance(content, dict) or not fits(content.get("tasks"), Sequence[dict[str, Any]]):
        raise ArgumentTypeError(f'{text}: it is not {{"tasks": [{{...}}, ...]}}')
    hints = get_type_hints(StandIn.add_task) | get_type_hints(Task.__init__)
    del hints["fields"], hints["return"]
    for task in content["tasks"]:
        if "instance" not in task:
            raise ArgumentTypeError(f"{text}: a task has no instance: {task}")
        for name, value in task.items():
            if name not in hints or not fits(value, hints[name]):
                raise ArgumentTypeError(f"{text}: a task cannot have {name}={value!r}")
    tasks: list[dict[str, Any]] = content["tasks"]
    return tasks


def fits(value: Any, hint: Any) -> bool:
    """Whether a value that was read from JSON is of a type."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(fits(value, one) for one in inner)
    if origin is Literal:
        return value in inner
    if origin is tuple:
        return isinstance(value, list) and len(value) == len(inner) and all(map(fits, value, inner))
    if origin is Sequence:
        return isinstance(value, list) and all(fits(one, inner[0]) for one in value)
    if isinstance(origin, type):
        return isinstance(value, origin)
    return isinstance(value, (int, float) if hint is float else hint) and isinstance(value, bool) == (hint is bool)
