# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The module ``dbs_download_task_wait``: from its options to its result.

Its action plugin runs it in slices, to show progress between them. The option ``slice`` holds ``seconds``, a pair after
which the slice ends, if a state changed and otherwise, and ``known``, what the slice before knew. The module gives that
back under ``_waiting``, with ``progress`` by task, why the last poll failed if it did (``outage``), and the seconds ``spent``.
"""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.creation import DownloadTasks
from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.download_tasks import Task, count_by_state
from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.prediction import (
    PREDICTED_ID,
    PREDICTED_WARNING,
    predicted_task,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.service import DBS
from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.waiting import (
    Ending,
    Knowledge,
    Selection,
    Verdict,
    Waiting,
    WaitPolicy,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.client import client_of
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.options import (
    CONNECTION_SPEC,
    INSTANCE_NAME_SPEC,
    Options,
    identifier,
    instance_names,
    region_of,
    within,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.errors import BackupError, ConfigurationError

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "instance_name": INSTANCE_NAME_SPEC,
    "task_ids": {"type": "list", "elements": "str", "aliases": ["task_id"]},
    "cluster_name": {"type": "str"},
    "backup_set_ids": {"type": "list", "elements": "str", "aliases": ["backup_set_id", "bak_set_id", "backup_id"]},
    "until": {"type": "str", "choices": ["finished", "ended"], "default": "finished"},
    "timeout": {"type": "float", "default": 3600.0},
    "poll_interval": {"type": "float", "default": 10.0},
    "poll_interval_max": {"type": "float", "default": 60.0},
    "appear_timeout": {"type": "float", "default": 120.0},
    "on_missing": {"type": "str", "choices": ["fail", "ignore"], "default": "fail"},
    "on_nothing": {"type": "str", "choices": ["error", "skip"], "default": "error"},
    "fail_fast": {"type": "bool", "default": True},
    "retries": {"type": "int", "default": 0},
    "progress": {"type": "bool", "default": True},
    "progress_interval": {"type": "float", "default": 60.0},
    "slice": {"type": "dict"},
    **CONNECTION_SPEC,
}

#: A message names so many tasks; the result holds all.
MAX_NAMED = 10

_ADVICE = {
    "failed": "retry it: a failed task blocks new ones of its instance",
    "expired": "its files are gone, create a new task",
}


class WaitFailed(BackupError):
    """What was waited for did not come."""

    kind = "wait"

    def __init__(self, reason: Ending, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def facts(self) -> dict[str, t.Any]:
        return dict(super().facts(), reason=self.reason.value)


class DownloadTaskWait:
    """One run of the module, or a slice of one. ``clock`` and ``sleep`` as those of the module ``time``."""

    def __init__(
        self,
        options: Options,
        check_mode: bool,
        *,
        clock: t.Callable[[], float] = time.monotonic,
        sleep: t.Callable[[float], t.Any] = time.sleep,
    ) -> None:
        self._options = options
        self._check_mode = check_mode
        self._clock = clock
        self._sleep = sleep
        self._waiting: t.Optional[Waiting] = None

    def answer(self) -> dict[str, t.Any]:
        """The module's result once all are done, or in check mode at once. Raises WaitFailed, or any BackupError.

        All options are checked before the first call.
        """
        began = self._clock()
        options = self._options
        selection, policy = _selection_of(options), _policy_of(options)
        part = options["slice"] or {}
        known = Knowledge(**(part.get("known") or {}))
        client = client_of(options, DBS)

        def restart(task: Task) -> None:
            instance, cluster = task["instance_name"], selection.cluster_name
            DownloadTasks(client, selection.region, instance, cluster_name=cluster, look_timeout=0.0).restart(task)

        self._waiting = waiting = Waiting(
            client, selection, policy, known, restart=restart, clock=self._clock, sleep=self._sleep
        )
        if self._check_mode:
            return self._present_states(waiting)
        ending = waiting.run(tuple(part["seconds"]) if "seconds" in part else None)
        if ending is Ending.SLICE_OVER:
            return {
                "_waiting": {
                    "known": dataclasses.asdict(known),
                    "progress": {task["task_id"]: waiting.progress(task) for task in waiting.tasks(Verdict.RETRY)},
                    "outage": str(waiting.outage) if waiting.outage else None,
                    "spent": self._clock() - began,
                }
            }
        if ending is not Ending.DONE:
            raise WaitFailed(ending, wait_message(ending, waiting))
        return self.so_far()

    def _present_states(self, waiting: Waiting) -> dict[str, t.Any]:
        """The result of check mode.

        What an earlier step would have created or retried is not there, or failed, so that is only worth a warning.
        """
        selection, tasks, warnings = waiting.selection, waiting.known.tasks, []
        if PREDICTED_ID in selection.task_ids:
            tasks[PREDICTED_ID] = predicted_task(selection.instance_names[0], selection.region)
            warnings.append(PREDICTED_WARNING)
        if waiting.missing() or not selection.wanted:
            waiting.poll()
        if waiting.outage:
            raise waiting.outage
        waiting.take_expired()
        to_retry, missing = waiting.to_retry(), waiting.missing()
        failed = [task for task in waiting.tasks(Verdict.FAILURE) if task not in to_retry]
        if selection.task_ids and any(task["download_status"] == "expired" for task in failed):
            # No step could have changed that.
            raise WaitFailed(Ending.FAILED, wait_message(Ending.FAILED, waiting))
        if failed:
            described = [f"{_described(task)}{_advice(task, waiting.known)}" for task in failed]
            warnings.append(f"This is a failure without check mode: {_named(described)}.")
        if missing:
            warnings.append(f"Not there now, and waited for without check mode: {_named(missing, ', ')}.")
        elif not tasks:
            warnings.append(wait_message(Ending.NOTHING, waiting))
        result = self.so_far()
        result["warnings"] += warnings
        return result

    def in_doubt(self) -> str:
        """What to tell if it is interrupted; empty if nothing is in doubt."""
        task = self._waiting.in_doubt if self._waiting else None
        return f"Whether task {task['task_id']!r} was retried is not known: its state will tell." if task else ""

    def so_far(self) -> dict[str, t.Any]:
        """The result by what is known; empty before anything is."""
        waiting = self._waiting
        if not waiting:
            return {}
        tasks = waiting.tasks()
        retried = {task_id: times for task_id, times in waiting.known.retried.items() if times}
        if self._check_mode:
            retried = {task["task_id"]: 1 for task in waiting.to_retry()}
        result: dict[str, t.Any] = {
            "changed": bool(retried),
            "download_tasks": tasks,
            "count": len(tasks),
            "count_by_state": count_by_state(tasks),
            "failed_task_ids": _ids(waiting.tasks(Verdict.FAILURE)),
            "pending_task_ids": _ids(waiting.tasks(Verdict.RETRY)),
            "missing_ids": waiting.missing(),
            "retried": retried,
            "elapsed": round(waiting.known.elapsed, 3),
            "polls": waiting.known.polls,
            "warnings": [
                f"Instance {instance} has a live download task without an ID, which cannot be waited for."
                for instance in waiting.known.nameless
            ],
        }
        if retried:
            after = "to be retried" if self._check_mode else "retried"
            result["diff"] = {
                "before": "".join(f"{task_id}: failed\n" for task_id in retried),
                "after": "".join(f"{task_id}: {after}\n" for task_id in retried),
            }
        return result


def _selection_of(options: Options) -> Selection:
    return Selection(
        region=region_of(options),
        instance_names=tuple(instance_names(options)),
        task_ids=frozenset(identifier("task_ids", value) for value in options["task_ids"] or ()),
        backup_set_ids=frozenset(identifier("backup_set_ids", value) for value in options["backup_set_ids"] or ()),
        cluster_name=options["cluster_name"] and identifier("cluster_name", options["cluster_name"]),
    )


def _policy_of(options: Options) -> WaitPolicy:
    interval = within(options, "poll_interval", 0.1, 3600, " seconds")
    if within(options, "poll_interval_max", 0.1, 3600, " seconds") < interval:
        raise ConfigurationError(
            f"poll_interval_max {options['poll_interval_max']} is less than poll_interval {interval}: set"
            f" poll_interval_max to {interval:g} or more, or poll_interval to less."
        )
    within(options, "progress_interval", 1, 86400, " seconds")
    return WaitPolicy(
        timeout=within(options, "timeout", 0, 2592000, " seconds"),
        interval=interval,
        interval_max=options["poll_interval_max"],
        appear_timeout=within(options, "appear_timeout", 0, 86400, " seconds"),
        outage_timeout=options["total_timeout"],
        any_end=options["until"] == "ended",
        ignore_missing=options["on_missing"] == "ignore",
        ignore_nothing=options["on_nothing"] == "skip",
        fail_fast=options["fail_fast"],
        retries=within(options, "retries", 0, 100),
    )


def wait_message(ending: Ending, waiting: Waiting) -> str:
    """What was waited for, how long, what is not as it should be, and what to do."""
    known, selection = waiting.known, waiting.selection
    where = f"{', '.join(selection.instance_names[:MAX_NAMED])} in region {selection.region}"
    if ending is Ending.NOTHING:
        return _nothing_message(where, known.newest_finished)
    failed, pending, missing = waiting.tasks(Verdict.FAILURE), waiting.tasks(Verdict.RETRY), waiting.missing()
    timed_out = ending is Ending.TIMED_OUT
    sentences = [
        f"Waiting for {_counted(len(known.tasks) + len(missing), 'download task')} of {where}"
        f" {'timed out' if timed_out else 'failed'} after {known.elapsed:.1f} seconds and {_counted(known.polls, 'poll')}"
    ]
    expired = [task for task in failed if task["download_status"] == "expired"]
    counts = {
        "failed": len(failed) - len(expired),
        "expired": len(expired),
        "not done": len(pending),
        "not there": len(missing),
    }
    summary = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    if summary:
        sentences[0] += f": {summary}"
    details = [f"{_described(task)}{_advice(task, known)}" for task in failed]
    details += [f"{_described(task)}{_restarted(task, known)}" for task in pending] if timed_out else []
    kind = "task" if selection.task_ids else "backup set"
    details += [f"{kind} {name} has not shown up: check ID, instance and region" for name in missing]
    if details:
        sentences.append(_named(details))
    if waiting.outage:
        sentences.append(f"The last poll failed: {str(waiting.outage).rstrip('.')}")
    if any(_can_be_retried(task, known) for task in failed):
        sentences.append(
            "To retry what failed, set retries=1 (wait_for_download_tasks_retries=1 for the role), or on_blocked=retry with"
            " wait_for_slot when dbs_download_task creates the next one; a retry may cost"
        )
    if timed_out and pending:
        sentences.append("The tasks go on by themselves: wait again, or raise timeout")
    return ". ".join(sentences) + "."


def _nothing_message(where: str, newest: t.Optional[Task]) -> str:
    known = "No task is finished"
    if newest:
        created, backup_set = newest["gmt_create_iso"] or "an unknown time", newest["bak_set_id"] or "unknown"
        known = f"The newest finished task is {newest['task_id']} of {created}, of backup set {backup_set}"
    return (
        f"No download task of {where} is under way, so there is nothing to wait for. {known}. Give task_id or backup_set_id"
        " to wait for a task that may be finished already, or create a task."
    )


def _advice(task: Task, known: Knowledge) -> str:
    task_id, state = task["task_id"], task["download_status"]
    times = known.retried.get(task_id)
    if state == "failed" and task_id in known.retry_errors:
        return f": it could not be retried: {known.retry_errors[task_id].rstrip('.')}"
    if state == "failed" and times:
        return f", again after {_counted(times, 'retry')}: it blocks new tasks of its instance, find the cause in the console"
    return f": {_ADVICE[state]}"


def _can_be_retried(task: Task, known: Knowledge) -> bool:
    task_id = task["task_id"]
    return task["download_status"] == "failed" and task_id not in known.retry_errors and not known.retried.get(task_id)


def _restarted(task: Task, known: Knowledge) -> str:
    if task["task_id"] not in known.restarted:
        return ""
    return f" and was retried {known.elapsed - known.restarted[task['task_id']]:.0f} seconds ago"


def _named(names: t.Sequence[str], separator: str = "; ") -> str:
    more = f"; and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return separator.join(names[:MAX_NAMED]) + more


def _counted(number: int, what: str) -> str:
    plural = {"retry": "retries"}.get(what, f"{what}s")
    return f"{number} {what if number == 1 else plural}"


def _ids(tasks: t.Iterable[Task]) -> list[str]:
    return [task["task_id"] for task in tasks]


def _described(task: Task) -> str:
    percent = "" if task["progress_percent"] is None else f", {task['progress_percent']:g} %"
    tables = f" at {task['progress']} tables{percent}" if task["progress_total"] else ""
    return f"{task['task_id']} of {task['instance_name']} is {task['download_status'] or 'in an unknown state'}{tables}"
