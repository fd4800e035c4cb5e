# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""One download task: the API's fields in snake case, typed, with states in one spelling."""

from __future__ import annotations

import re
import typing as t

from .._base.text import MAX_NAME, printable, safe
from .values import epoch_milliseconds, integer, iso8601, snake_case

TARGET_TYPES = ("URL", "OSS")
FORMATS = ("CSV", "csv-with-header", "SQL", "Parquet", "Bson", "qp.xb")

#: Those that are documented in lists of tasks; how the others are listed is not known.
_LISTED_FORMATS = ("CSV", "SQL", "Parquet")
#: Those that a list may have under any of these words, as nothing in them is like what these words mean.
_UNLIKE_ANY = ("qp.xb", "Bson")

#: In the order of a task's life.
STATES = (
    "initializing",
    "queueing",
    "running",
    "finished",
    "failed",
    "expired",
)

#: Spellings that the service and its documentation also use.
_SPELLINGS = {
    "queuing": "queueing",
    "queued": "queueing",
    "initialising": "initializing",
}

#: States whose spelling is beyond doubt, so that the service may be asked to filter by them.
UNDISPUTED_STATES = frozenset({"running", "finished", "failed", "expired"})

#: How long the files of a task are there after it finished, in milliseconds.
LIFETIME = 3 * 86_400_000

_INTEGERS = ("ExportDataSize", "ImportDataSize")
_TIMES = ("BackupSetTime", "GmtCreate")
_TEXTS = (
    "BakSetId",
    "Format",
    "Progress",
    "RegionCode",
    "TargetPath",
    "TargetType",
    "TaskId",
)


def canonical_state(text: object) -> str:
    """The state in the collection's spelling; an unknown state comes back in lower case, and with escapes."""
    folded = printable(str(text or "").strip().lower(), MAX_NAME)
    return _SPELLINGS.get(folded, folded)


def has_format(listed: t.Optional[str], format: str) -> t.Optional[bool]:
    """Whether a task that is listed with a format is one of FORMATS; none where the list does not tell."""
    found, asked = _letters(listed), _letters(format)
    if not found:
        return None
    if found == asked:
        return True
    if found not in map(_letters, FORMATS) or (found, asked) == (
        "csv",
        "csvwithheader",
    ):
        return None
    return (
        None
        if format in _UNLIKE_ANY and is_documented_format(listed)
        else False
    )


def is_documented_format(listed: t.Optional[str]) -> bool:
    """Whether the word that a list has for a format is one of those that are documented."""
    return _letters(listed) in map(_letters, _LISTED_FORMATS)


def _letters(text: t.Optional[str]) -> str:
    return re.sub(r"[^a-z0-9]", "", str(text or "").lower())


def databases(text: object) -> list[str]:
    """Of ``[a,b]`` or ``a``, which is not JSON."""
    if isinstance(text, list):
        return [str(name) for name in text]
    names = (
        name.strip().strip("\"'")
        for name in str(text or "").strip().strip("[]").split(",")
    )
    return [name for name in names if name]


def progress(text: object) -> dict[str, t.Any]:
    """Of ``done/total``, which counts tables. ``0/0`` is a task that prepares: its percentage is not known."""
    counts = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", str(text or ""))
    done, total = (int(counts[1]), int(counts[2])) if counts else (None, None)
    percent = (
        round(100.0 * done / total, 1) if done is not None and total else None
    )
    return {
        "progress_done": done,
        "progress_total": total,
        "progress_percent": percent,
    }


def normalised(
    raw: t.Mapping[str, t.Any], instance_name: str, region: str
) -> dict[str, t.Any]:
    """A task as the collection returns it. ``raw`` is an element of ``Data.Content.List``; signed links in it are masked."""
    shown = safe(raw)
    task: dict[str, t.Any] = {
        snake_case(name): value for name, value in shown.items()
    }
    for name in _INTEGERS:
        task[snake_case(name)] = integer(raw.get(name))
    for name in _TIMES:
        task[snake_case(name)] = epoch_milliseconds(raw.get(name))
    for name in _TEXTS:
        value = shown.get(name)
        task[snake_case(name)] = None if value is None else str(value)
    task.update(
        instance_name=instance_name,
        region_code=task["region_code"] or region,
        download_status=canonical_state(shown.get("DownloadStatus")) or None,
        backup_set_id=task["bak_set_id"],
        db_list=databases(shown.get("DbList")),
        gmt_create_iso=iso8601(task["gmt_create"]),
        backup_set_time_iso=iso8601(task["backup_set_time"]),
        **progress(raw.get("Progress")),
    )
    task["expires_at"] = expires_at(task)
    return task


class TaskCache:
    """Makes tasks of lists that are read again and again. One that is listed as before is not parsed again.

    Threads may share it: each takes and adds tasks by single operations of a dictionary, which are atomic.
    """

    def __init__(self) -> None:
        #: By instance and ID: what was listed last, and the task that was made of it.
        self._known: dict[
            tuple[str, str], tuple[t.Mapping[str, t.Any], dict[str, t.Any]]
        ] = {}

    def normalised(
        self, raw: t.Mapping[str, t.Any], instance_name: str, region: str
    ) -> dict[str, t.Any]:
        """The same as the function. Nobody may change the task: the next list may be given the same."""
        key = (instance_name, str(raw.get("TaskId")))
        known = self._known.get(key)
        if known and known[0] == raw:
            return known[1]
        task = normalised(raw, instance_name, region)
        self._known[key] = raw, task
        return task


def expires_at(
    task: t.Mapping[str, t.Any], seen: t.Optional[int] = None
) -> t.Optional[str]:
    """The time until which the files of a finished task are there for sure, in ISO 8601; none where nothing expires.

    The service does not say when it finished: not before it was created, nor before it was ``seen`` not to be finished. Times
    are in epoch milliseconds. What is in a bucket of the user stays there.
    """
    if (
        task["download_status"] != "finished"
        or str(task["target_type"]).upper() == "OSS"
        or not task["gmt_create"]
    ):
        return None
    return iso8601(max(task["gmt_create"], seen or 0) + LIFETIME)
