# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Checks of option values. Each failure names the option, the value and what is allowed."""

from __future__ import annotations

import os
import re
import time
import typing as t

from .._base.errors import ConfigurationError
from . import tuning

Options = t.Mapping[str, t.Any]

#: No ID is the word for the newest backup set, in whatever letters; the module that takes it knows it before.
_BACKUP_SET_ID = r"(?!(?i:latest)$)[A-Za-z0-9][A-Za-z0-9_-]*"
_A_BACKUP_SET_ID = "the ID of a backup set, such as 1482610001, or to create a download task, latest in small letters for the newest one"

#: Identifiers as the services make them; loose, so that a new kind of instance is not refused.
_IDENTIFIERS = {
    "region": (r"[a-z]{2}(-[a-z0-9]+)+", "a region ID such as cn-hangzhou"),
    "instance_name": (
        r"[A-Za-z][A-Za-z0-9]*(-[A-Za-z0-9]+)+",
        "the ID of an instance, such as rm-bp1a2b3c4d5e6f7g8 (not its address, nor its description)",
    ),
    "task_id": (
        r"dt-[A-Za-z0-9_-]+",
        "the ID of a download task, such as dt-a1b2c3d4e5f6",
    ),
    "target_oss_region": (
        r"(oss-)?[a-z]{2}(-[a-z0-9]+)+",
        "the region of a bucket, such as cn-hangzhou",
    ),
    "task_ids": (
        r"dt-[A-Za-z0-9_-]+",
        "the ID of a download task, such as dt-a1b2c3d4e5f6",
    ),
    "backup_set_ids": (_BACKUP_SET_ID, _A_BACKUP_SET_ID),
    "backup_set_id": (_BACKUP_SET_ID, _A_BACKUP_SET_ID),
    "datasource_id": (
        r"ds-[A-Za-z0-9-]+_[a-z0-9-]+",
        "the ID of a data source: ds-<instance>_<region>",
    ),
    "target_bucket": (
        r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]",
        "the name of a bucket: lower case letters, digits and hyphens",
    ),
    "bucket": (
        r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]",
        "the name of a bucket: lower case letters, digits and hyphens",
    ),
    "oss_region": (
        r"[a-z0-9]+(-[a-z0-9]+)*",
        "the region of the bucket, such as cn-hangzhou",
    ),
    "cluster_name": (r"[A-Za-z0-9][A-Za-z0-9_.-]*", "the name of a cluster"),
}


def check_identifier(
    option: str, value: t.Any, name: t.Optional[str] = None
) -> str:
    """The value, stripped, if it looks like what the option holds. ``name``: what to call the option."""
    pattern, allowed = _IDENTIFIERS[option]
    text = str(value).strip()
    if not re.fullmatch(pattern, text) or len(text) > tuning.LONGEST_IDENTIFIER:
        shown = (
            text
            if len(text) <= tuning.LONGEST_IDENTIFIER
            else text[: tuning.LONGEST_IDENTIFIER] + "…"
        )
        raise ConfigurationError(
            f"{name or option} {shown!r} is malformed: give {allowed}."
        )
    return text


def parse_time(
    options: Options, option: str, *, is_end: bool = False
) -> t.Optional[int]:
    """Epoch milliseconds of a time, none if it is not set. ``is_end``: a date alone is its end."""
    value = options[option]
    if value is None:
        return None
    # Most tasks have no times.
    from .._dbs.times import given_milliseconds

    try:
        return given_milliseconds(
            value, round(time.time() * 1000), is_end=is_end
        )
    except ValueError as error:
        raise ConfigurationError(f"{option} {value!r} {error}.") from None


def time_range(options: Options) -> tuple[t.Optional[int], t.Optional[int]]:
    """``start_time`` and ``end_time`` in epoch milliseconds, none where not set."""
    start_time, end_time = (
        parse_time(options, "start_time"),
        parse_time(options, "end_time", is_end=True),
    )
    if (
        start_time is not None
        and end_time is not None
        and start_time > end_time
    ):
        raise ConfigurationError(
            f"start_time {options['start_time']!r} is after end_time {options['end_time']!r}: swap them."
        )
    return start_time, end_time


def check_path(options: Options, option: str) -> str:
    """The path, absolute, of a file or directory on this host."""
    path = str(options[option])
    if not path.strip() or "\0" in path:
        raise ConfigurationError(
            f"{option} {path!r} is not a path: give an absolute one."
        )
    return os.path.abspath(path)


def path_exists(path: str) -> bool:
    """Return whether there is something, or may be: what this user may not look at is not absent."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass
    return True


def check_range(
    options: Options, option: str, low: float, high: float, unit: str = ""
) -> t.Any:
    """The number, none if it is not set, if it lies in a range."""
    value = options.get(option)
    if value is not None and not low <= value <= high:
        raise ConfigurationError(
            f"{option} {value!r} is out of range: give {low} to {high}{unit}."
        )
    return value


class Choices(list[str]):
    """The choices of an option, for ``choices`` in a specification. Ansible finds each in it in whatever letters.

    ``fold``: makes the same text of all spellings of a choice.
    """

    def __init__(
        self,
        names: t.Iterable[str],
        fold: t.Callable[[str], str] = str.casefold,
    ) -> None:
        super().__init__(names)
        self._fold = fold

    def __contains__(self, value: object) -> bool:
        # Null is not set, as for options without choices.
        return value is None or self.find(value) is not None

    def find(self, value: object) -> t.Optional[str]:
        """Return the choice in its own spelling, none if there is no such."""
        folded = self._fold(str(value).strip())
        return next((name for name in self if self._fold(name) == folded), None)


def check_choice(option: str, value: t.Any, choices: Choices) -> str:
    """The value in its own spelling, if it is one of the choices."""
    found = choices.find(value)
    if found is None:
        raise ConfigurationError(
            f"{option} {value!r} is not known: use one of {', '.join(choices)}."
        )
    return found
