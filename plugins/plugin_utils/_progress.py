# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Progress in plain lines for people: of download tasks, and of files."""

from __future__ import annotations

import typing as t

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.apsaradb.backup.plugins.module_utils._base.text import (
    printable,
    safe,
)

_OWNER = "apsaradb.backup.progress"

#: So many live tasks get a line of their own at an interval.
MAX_LINES = 10

T = t.TypeVar("T")
Task = t.Mapping[str, t.Any]
Rates = t.Mapping[str, t.Mapping[str, t.Optional[float]]]


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
    return wanted is not False and not (task.async_val or task.no_log or task.check_mode)


def interval_of(task: t.Any, default: float) -> float:
    """How often to print progress of a task of Ansible, in seconds. Raises AnsibleOptionsError."""
    configured = _configured(
        "progress_interval", _interval, f"{MIN_INTERVAL:g} to {MAX_INTERVAL:g} seconds"
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
        (variable,), (key,) = _CONFIGURATION[name]["env"], _CONFIGURATION[name]["ini"]
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
    """Remembers what it has told. ``interval``: seconds after which something is told though nothing is new."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        #: By task, its state and how often it was retried.
        self._told: dict[str, tuple[t.Optional[str], int]] = {}
        self._last = float("-inf")

    def of(
        self,
        tasks: t.Iterable[Task],
        rates: Rates,
        elapsed: float,
        outage: t.Optional[str] = None,
        retried: t.Optional[t.Mapping[str, int]] = None,
    ) -> t.Iterator[str]:
        """A line for each task whose state is news, and at the interval for those that are live.

        ``rates`` has the live ones. ``outage``: why the last poll failed, if it did. ``retried``: how often, by task.
        """
        retried = retried or {}
        tasks = sorted(tasks, key=lambda task: (task["gmt_create"] or 0, task["task_id"]))
        news = self._news(tasks, retried)
        is_time = elapsed - self._last >= 0.75 * self._interval
        if not news and not is_time:
            return
        self._last = elapsed
        self._told.update((task["task_id"], _state(task, retried)) for task in news)
        if outage:
            yield f"no answer at the moment, {duration(elapsed)} elapsed: {outage}"
        live = [task for task in tasks if task["task_id"] in rates]
        shown = news if news or len(live) > MAX_LINES or outage else live
        for task in shown[:MAX_LINES]:
            line = line_of(
                task,
                rates.get(task["task_id"], {}),
                elapsed,
                retried.get(task["task_id"], 0),
            )
            yield f"last known: {line}" if outage else line
        if len(shown) > MAX_LINES:
            yield f"and {len(shown) - MAX_LINES} more download tasks changed their state"
        if len(tasks) > MAX_LINES:
            yield f"{len(live)} of {len(tasks)} download tasks are not done, {duration(elapsed)} elapsed"

    def last(self, result: t.Mapping[str, t.Any]) -> t.Iterator[str]:
        """What is news at the end, by the module's result."""
        tasks, retried = result.get("download_tasks", []), result.get("retried", {})
        if self._news(tasks, retried):
            rates: Rates = {task_id: {} for task_id in result.get("pending_task_ids", [])}
            yield from self.of(tasks, rates, result.get("elapsed", 0.0), retried=retried)

    def _news(self, tasks: t.Iterable[Task], retried: t.Mapping[str, int]) -> list[Task]:
        return [
            task
            for task in tasks
            if self._told.get(task["task_id"]) != _state(task, retried)
        ]


def _state(task: Task, retried: t.Mapping[str, int]) -> tuple[t.Optional[str], int]:
    return task["download_status"], retried.get(task["task_id"], 0)


def line_of(
    task: Task, rate: t.Mapping[str, t.Optional[float]], elapsed: float, retries: int = 0
) -> str:
    """``dt-… of rm-…: running, 3/8 tables, 37.5 %, retry 1, 1.5 tables/min, about 3m 20s left, 2m 05s elapsed``"""
    parts = [printable(task["download_status"] or "in an unknown state")]
    if task["progress_total"]:
        parts += [f"{task['progress']} tables", f"{task['progress_percent']:g} %"]
    if retries:
        parts.append(f"retry {retries}")
    if rate.get("tables_per_minute") is not None:
        parts.append(f"{rate['tables_per_minute']:g} tables/min")
    if rate.get("seconds_left") is not None:
        parts.append(f"about {duration(t.cast(float, rate['seconds_left']))} left")
    parts.append(f"{duration(elapsed)} elapsed")
    return f"{task['task_id']} of {task['instance_name']}: {', '.join(parts)}"


def transfer_line(progress: t.Mapping[str, t.Any], elapsed: float) -> t.Iterator[str]:
    """``/srv/x.tar.gz: 37.5 % of 6.4 GB, 112 MB/s, about 3m 20s left, 2m 05s elapsed``"""
    if not progress.get("dest"):
        return
    parts = []
    size, done, rate = progress.get("size"), progress.get("done"), progress.get("rate")
    if progress.get("phase") == "checking":
        parts.append("checking what is there")
    elif size and done is not None:
        parts.append(f"{100 * done / size:.1f} % of {amount(size)}")
        if rate:
            parts += [f"{amount(rate)}/s", f"about {duration((size - done) / rate)} left"]
    if progress.get("files", 1) > 1:
        parts.append(f"file {progress['file']} of {progress['files']}")
    parts.append(f"{duration(elapsed)} elapsed")
    yield f"{printable(progress['dest'])}: {', '.join(parts)}"


def extraction_line(progress: t.Mapping[str, t.Any], elapsed: float) -> t.Iterator[str]:
    """``/srv/x.tar.gz: 37.5 %, 210 MB/s, 120 files, about 3m 20s left, 2m 05s elapsed``; the rate is of the archive."""
    if not progress:
        return
    read, total, spent = progress["read"], progress["total"], progress["elapsed"]
    parts = [f"{100 * read / total:.1f} %"]
    if progress["step"] != "unpacking":
        parts.insert(0, progress["step"])
    if read and spent and read < total:
        parts.append(f"{amount(read / spent)}/s")
    if progress["files"]:
        parts.append(f"{progress['files']} files")
    if read and read < total:
        parts.append(f"about {duration((total - read) * spent / read)} left")
    parts.append(f"{duration(elapsed)} elapsed")
    yield f"{printable(progress['src'])}: {', '.join(parts)}"


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
