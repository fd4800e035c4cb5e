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

from .._base.errors import ConfigurationError
from .._dbs.creation import DownloadTasks
from .._dbs.download_tasks import Task, count_by_status
from .._dbs.prediction import PREDICTED_ID, PREDICTED_WARNING, predicted_task
from .._dbs.service import DBS
from .._dbs.wait_state import Verdict, WaitOutcome, WaitPolicy, WaitState, WaitTarget
from .._dbs.waiting import Waiter
from .._plugin.checks import Options, check_identifier, check_range
from .._plugin.client import client_of
from .._plugin.options import (
    CONNECTION_SPEC,
    INSTANCE_NAME_SPEC,
    instance_names,
    region_of,
)
from .wait_messages import (
    WaitFailedError,
    advice,
    describe,
    ids_of,
    join_names,
    wait_message,
)

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "instance_name": INSTANCE_NAME_SPEC,
    "task_ids": {"type": "list", "elements": "str", "aliases": ["task_id"]},
    "cluster_name": {"type": "str"},
    "backup_set_ids": {
        "type": "list",
        "elements": "str",
        "aliases": ["backup_set_id", "bak_set_id", "backup_id"],
    },
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
        self._waiting: t.Optional[Waiter] = None

    def answer(self) -> dict[str, t.Any]:
        """The module's result once all are done, or in check mode at once. Raises WaitFailedError, or any BackupError.

        All options are checked before the first call.
        """
        began = self._clock()
        options = self._options
        selection, policy = _selection_of(options), _policy_of(options)
        part = options["slice"] or {}
        known = WaitState(**(part.get("known") or {}))
        client = client_of(options, DBS)

        def restart(task: Task) -> None:
            instance, cluster = task["instance_name"], selection.cluster_name
            DownloadTasks(
                client, selection.region, instance, cluster_name=cluster, look_timeout=0.0
            ).restart(task)

        self._waiting = waiting = Waiter(
            client,
            selection,
            policy,
            known,
            restart=restart,
            clock=self._clock,
            sleep=self._sleep,
        )
        if self._check_mode:
            return self._present_states(waiting)
        ending = waiting.run(tuple(part["seconds"]) if "seconds" in part else None)
        if ending is WaitOutcome.SLICE_OVER:
            return {
                "_waiting": {
                    "known": dataclasses.asdict(known),
                    "progress": {
                        task["task_id"]: waiting.progress(task)
                        for task in waiting.tasks(Verdict.RETRY)
                    },
                    "outage": str(waiting.outage) if waiting.outage else None,
                    "spent": self._clock() - began,
                }
            }
        if ending is not WaitOutcome.DONE:
            raise WaitFailedError(ending, wait_message(ending, waiting))
        return self.partial_result()

    def _present_states(self, waiting: Waiter) -> dict[str, t.Any]:
        """The result of check mode.

        What an earlier step would have created or retried is not there, or failed, so that is only worth a warning.
        """
        selection, tasks, warnings = waiting.selection, waiting.known.tasks, []
        if PREDICTED_ID in selection.task_ids:
            tasks[PREDICTED_ID] = predicted_task(
                selection.instance_names[0], selection.region
            )
            warnings.append(PREDICTED_WARNING)
        if waiting.missing() or not selection.wanted:
            waiting.poll()
        if waiting.outage:
            raise waiting.outage
        waiting.take_expired()
        to_retry, missing = waiting.to_retry(), waiting.missing()
        failed = [task for task in waiting.tasks(Verdict.FAILURE) if task not in to_retry]
        if selection.task_ids and any(
            task["download_status"] == "expired" for task in failed
        ):
            # No step could have changed that.
            raise WaitFailedError(
                WaitOutcome.FAILED, wait_message(WaitOutcome.FAILED, waiting)
            )
        if failed:
            described = [
                f"{describe(task)}{advice(task, waiting.known)}" for task in failed
            ]
            warnings.append(
                f"This is a failure without check mode: {join_names(described)}."
            )
        if missing:
            warnings.append(
                f"Not there now, and waited for without check mode: {join_names(missing, ', ')}."
            )
        elif not tasks:
            warnings.append(wait_message(WaitOutcome.NOTHING, waiting))
        result = self.partial_result()
        result["warnings"] += warnings
        return result

    def interruption_note(self) -> str:
        """What to tell if it is interrupted; empty if nothing is in doubt."""
        task = self._waiting.unconfirmed if self._waiting else None
        return (
            f"Whether task {task['task_id']!r} was retried is not known: its state will tell."
            if task
            else ""
        )

    def partial_result(self) -> dict[str, t.Any]:
        """The result by what is known; empty before anything is."""
        waiting = self._waiting
        if not waiting:
            return {}
        tasks = waiting.tasks()
        retried = {
            task_id: times for task_id, times in waiting.known.retried.items() if times
        }
        if self._check_mode:
            retried = {task["task_id"]: 1 for task in waiting.to_retry()}
        result: dict[str, t.Any] = {
            "changed": bool(retried),
            "download_tasks": tasks,
            "count": len(tasks),
            "count_by_status": count_by_status(tasks),
            "failed_task_ids": ids_of(waiting.tasks(Verdict.FAILURE)),
            "pending_task_ids": ids_of(waiting.tasks(Verdict.RETRY)),
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


def _selection_of(options: Options) -> WaitTarget:
    return WaitTarget(
        region=region_of(options),
        instance_names=tuple(instance_names(options)),
        task_ids=frozenset(
            check_identifier("task_ids", value) for value in options["task_ids"] or ()
        ),
        backup_set_ids=frozenset(
            check_identifier("backup_set_ids", value)
            for value in options["backup_set_ids"] or ()
        ),
        cluster_name=options["cluster_name"]
        and check_identifier("cluster_name", options["cluster_name"]),
    )


def _policy_of(options: Options) -> WaitPolicy:
    interval = check_range(options, "poll_interval", 0.1, 3600, " seconds")
    if check_range(options, "poll_interval_max", 0.1, 3600, " seconds") < interval:
        raise ConfigurationError(
            f"poll_interval_max {options['poll_interval_max']} is less than poll_interval {interval}: set"
            f" poll_interval_max to {interval:g} or more, or poll_interval to less."
        )
    check_range(options, "progress_interval", 1, 86400, " seconds")
    return WaitPolicy(
        timeout=check_range(options, "timeout", 0, 2592000, " seconds"),
        interval=interval,
        interval_max=options["poll_interval_max"],
        appear_timeout=check_range(options, "appear_timeout", 0, 86400, " seconds"),
        outage_timeout=options["total_timeout"],
        any_end=options["until"] == "ended",
        ignore_missing=options["on_missing"] == "ignore",
        ignore_nothing=options["on_nothing"] == "skip",
        fail_fast=options["fail_fast"],
        retries=check_range(options, "retries", 0, 100),
    )
