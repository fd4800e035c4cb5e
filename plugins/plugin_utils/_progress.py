# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Progress in plain lines for people: of download tasks, and of files."""

from __future__ import annotations

import typing as t

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.apsaradb.backup.plugins.module_utils._base.text import (
    counted,
    printable,
    safe,
)

_OWNER = "apsaradb.backup.progress"

T = t.TypeVar("T")
Progress = t.Mapping[str, t.Any]


#: For all tasks that do not say it themselves. Documented in the doc fragment ``progress``.
_CONFIGURATION = {
    name: {
        "env": [{"name": f"APSARADB_BACKUP_{name.upper()}"}],
        "ini": [{"section": "apsaradb_backup", "key": name}],
    }
    for name in ("progress", "progress_interval")
}
MIN_INTERVAL, MAX_INTERVAL = 1.0, 86400.0


def is_read(task: t.Any) -> bool:
    """Whether somebody sees what is printed while a task of Ansible runs, and wants to. Raises AnsibleOptionsError."""
    wanted = _configured("progress", boolean, "true or false")
    if "progress" in task.args:
        wanted = boolean(task.args["progress"], strict=False)
    return wanted is not False and not (
        task.async_val or task.no_log or task.check_mode
    )


def interval_of(task: t.Any, default: float) -> float:
    """How often to print progress of a task of Ansible, in seconds. Raises AnsibleOptionsError."""
    configured = _configured(
        "progress_interval",
        _interval,
        f"{MIN_INTERVAL:g} to {MAX_INTERVAL:g} seconds",
    )
    default = default if configured is None else configured
    try:
        return float(task.args.get("progress_interval", default))
    except (TypeError, ValueError):
        return default  # the module says what is wrong with it


def _interval(value: t.Any) -> float:
    seconds = float(value)
    if not MIN_INTERVAL <= seconds <= MAX_INTERVAL:
        raise ValueError
    return seconds


def _configured(
    name: str, convert: t.Callable[[t.Any], T], allowed: str
) -> t.Optional[T]:
    """The setting of the environment or of ansible.cfg; none where it is in neither."""
    # Imported here, as this takes over standard output, and lines are made without.
    from ansible import constants
    from ansible.errors import AnsibleOptionsError

    # Ansible reads what the documentation of an action plugin says of its options for no action plugin.
    constants.config.initialize_plugin_configuration_definitions(
        "action", _OWNER, _CONFIGURATION
    )
    value = constants.config.get_config_value(
        name, plugin_type="action", plugin_name=_OWNER
    )
    if value in (None, ""):
        return None
    try:
        return convert(value)
    except (TypeError, ValueError):
        (variable,), (key,) = (
            _CONFIGURATION[name]["env"],
            _CONFIGURATION[name]["ini"],
        )
        raise AnsibleOptionsError(
            f"{variable['name']}, or {name} in the section {key['section']} of ansible.cfg, is {value!r}: give {allowed}."
        ) from None


def host_of(task: t.Any, task_vars: t.Optional[t.Mapping[str, t.Any]]) -> str:
    """The host of a task of Ansible, written as Ansible itself does it: ``db1``, or ``db1 -> localhost``."""
    name = str((task_vars or {}).get("inventory_hostname", "localhost"))
    return f"{name} -> {task.delegate_to}" if task.delegate_to else name


def show(display: t.Any, host: str, lines: t.Iterable[str]) -> None:
    """Print the lines on the controller, each with its host: ``[db1] …``"""
    for line in lines:
        display.display(safe(f"[{host}] {line}"))


class ProgressLines:
    """Makes lines of the progress of a job.

    ``news``: the number of the last news that was shown.
    """

    def __init__(self) -> None:
        self.news = 0

    def of(self, progress: Progress, elapsed: float) -> t.Iterator[str]:
        """Yield what is news, or else how far the work is. ``elapsed``: seconds since its start."""
        raise NotImplementedError

    def last(self, progress: Progress, elapsed: float) -> t.Iterator[str]:
        """Yield what is still news at the end."""
        yield from ()


class TaskLines(ProgressLines):
    """Of download tasks: what ``module_utils/_modules/task_progress.py`` reports."""

    def of(self, progress: Progress, elapsed: float) -> t.Iterator[str]:
        if not progress:
            return
        before, outage = progress["prefix"], progress["outage"]
        if outage:
            yield f"{before}service is unavailable, {duration(elapsed)} elapsed: {outage}"
        unseen = [
            task for number, task in progress["changes"] if number > self.news
        ]
        more = progress["changed"] - self.news - len(unseen)
        self.news = progress["changed"]
        # Of a task that changed more than once, the last state.
        tasks = list({task["task_id"]: task for task in unseen}.values())
        if (
            not tasks
            and not outage
            and progress["live_count"] == len(progress["live"])
        ):
            tasks = progress["live"]
        for task in tasks:
            line = task_line(task, elapsed)
            yield f"{before}last known: {line}" if outage else f"{before}{line}"
        if more > 0:
            yield f"{more} more download tasks changed their status"
        if progress["are_many"]:
            yield f"{progress['live_count']} of {progress['count']} download tasks are not finished, {duration(elapsed)} elapsed"

    def last(self, progress: Progress, elapsed: float) -> t.Iterator[str]:
        if progress and progress["changed"] > self.news:
            yield from self.of(progress, elapsed)


class TransferLines(ProgressLines):
    """``/srv/x.tar.gz: 37.5 % of 6.4 GB, 112 MB/s, about 3m 20s left, 2m 05s elapsed``"""

    def of(self, progress: Progress, elapsed: float) -> t.Iterator[str]:
        if not progress.get("dest"):
            return
        parts = []
        size, done, rate = (
            progress.get("size"),
            progress.get("done"),
            progress.get("rate"),
        )
        if progress.get("phase") == "checking":
            parts.append("computing the checksum")
        elif size and done is not None:
            parts.append(f"{100 * done / size:.1f} % of {amount(size)}")
            if rate:
                parts.append(f"{amount(rate)}/s")
                parts.append(f"about {duration((size - done) / rate)} left")
        if progress.get("files", 1) > 1:
            parts.append(f"file {progress['file']} of {progress['files']}")
        parts.append(f"{duration(elapsed)} elapsed")
        yield f"{printable(progress['dest'])}: {', '.join(parts)}"


class ExtractionLines(ProgressLines):
    """``/srv/x.tar.gz: 37.5 %, 210 MB/s, 120 files, about 3m 20s left, 2m 05s elapsed``

    The rate is that of reading the archive.
    """

    def of(self, progress: Progress, elapsed: float) -> t.Iterator[str]:
        if not progress:
            return
        read, total, spent = (
            progress["read"],
            progress["total"],
            progress["elapsed"],
        )
        parts = [f"{100 * read / total:.1f} %"]
        if progress["step"] != "extracting":
            parts.insert(0, progress["step"])
        if read and spent and read < total:
            parts.append(f"{amount(read / spent)}/s")
        if progress["files"]:
            parts.append(counted(progress["files"], "file"))
        if read and read < total:
            parts.append(
                f"about {duration((total - read) * spent / read)} left"
            )
        parts.append(f"{duration(elapsed)} elapsed")
        yield f"{printable(progress['src'])}: {', '.join(parts)}"


class RestoreLines(ProgressLines):
    """``/srv/x.tar.gz: 412 MB of 600 MB, 180 of 203 tables, 21 MB/s, about 9s left; building keys of shop.orders``"""

    def of(self, progress: Progress, elapsed: float) -> t.Iterator[str]:
        if not progress:
            return
        done, total, spent = (
            progress["done"],
            progress["total"],
            progress["elapsed"],
        )
        parts = [f"{amount(done)} of {amount(total)}"]
        if progress["phase"] == "reading":
            parts[0] = f"reading the backup, {parts[0]}"
        if progress["tables"]:
            parts.append(
                f"{progress['tables_done']} of {counted(progress['tables'], 'table')}"
            )
        if done and spent and done < total:
            parts.append(f"{amount(done / spent)}/s")
            parts.append(
                f"about {duration((total - done) * spent / done)} left"
            )
        parts.append(f"{duration(elapsed)} elapsed")
        activity = (
            f"; {printable(progress['activity'])}"
            if progress["activity"]
            else ""
        )
        yield f"{printable(progress['src'])}: {', '.join(parts)}{activity}"


def task_line(task: t.Mapping[str, t.Any], elapsed: float) -> str:
    """``dt-… of rm-…: running, 3/8 tables, 37.5 %, retry 1, 1.5 tables/min, about 3m 20s left, 2m 05s elapsed``"""
    parts = [printable(task["status"] or "in an unknown state")]
    if task["tables"]:
        parts += [f"{task['tables']} tables", f"{task['percent']:g} %"]
    if task["retries"]:
        parts.append(f"retry {task['retries']}")
    if task["tables_per_minute"] is not None:
        parts.append(f"{task['tables_per_minute']:g} tables/min")
    if task["seconds_left"] is not None:
        parts.append(f"about {duration(task['seconds_left'])} left")
    parts.append(f"{duration(elapsed)} elapsed")
    return f"{task['task_id']} of {task['instance_name']}: {', '.join(parts)}"


def amount(count: float) -> str:
    """Of bytes: ``512 B``, ``3.5 MB``, ``112 GB``"""
    units = ("B", "kB", "MB", "GB", "TB")
    power = 0
    while count >= 1000 and power < len(units) - 1:
        count /= 1000
        power += 1
    return f"{count:.3g} {units[power]}"


def duration(seconds: float) -> str:
    """``45s``, ``3m 20s``, ``2h 05m``"""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02}m"
