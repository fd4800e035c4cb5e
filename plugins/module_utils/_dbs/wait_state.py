# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""What is waited for, how, and what is known of it."""

from __future__ import annotations

import enum
import typing as t
from dataclasses import dataclass, field

from .download_tasks import Task


class Verdict(enum.Enum):
    SUCCESS = "success"
    FAILURE = "failure"
    RETRY = "retry"


#: Any other state, also an unknown one, may still change.
VERDICTS = {
    "finished": Verdict.SUCCESS,
    "failed": Verdict.FAILURE,
    "expired": Verdict.FAILURE,
}


def is_live(task: Task) -> bool:
    return VERDICTS.get(task["download_status"], Verdict.RETRY) is Verdict.RETRY


class WaitOutcome(enum.Enum):
    """Why waiting ended."""

    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    NOTHING = "nothing"


@dataclass(frozen=True)
class WaitTarget:
    """What to wait for on these instances: tasks by ID, the newest task of each backup set, or else all that are live."""

    region: str
    instance_names: tuple[str, ...]
    task_ids: frozenset[str] = frozenset()
    backup_set_ids: frozenset[str] = frozenset()
    cluster_name: t.Optional[str] = None

    @property
    def wanted(self) -> frozenset[str]:
        """IDs that have to show up."""
        return self.task_ids or self.backup_set_ids


@dataclass(frozen=True)
class WaitPolicy:
    """Times in seconds. ``any_end``: a task that failed or expired is done as well.

    ``retries``: how often each task that failed is started again.
    """

    timeout: float
    interval: float
    interval_max: float
    appear_timeout: float
    outage_timeout: float
    any_end: bool = False
    ignore_missing: bool = False
    ignore_nothing: bool = True
    fail_fast: bool = True
    retries: int = 0


@dataclass
class WaitState:
    """All that is known so far.

    ``elapsed``          seconds; other times are seconds of it
    ``tasks``            by ID, those that are waited for
    ``first_progress``   by ID: when progress was first seen, and the finished tables then
    ``newest``           by instance that has answered: the creation of its newest task, in epoch milliseconds
    ``newest_finished``  the newest of all tasks that were finished at the start
    ``expired``          by backup set: its newest task, which has expired; another one may still show up
    ``unseen_since``     when a task was first missing
    ``outage_since``     by instance that does not answer: since when
    ``answered``         whether the service has answered well at all
    ``takes_times``      whether it takes StartTime and EndTime; none if that is not known
    ``retried``          by ID: how often RetryDownloadTask was sent, without requests that were refused
    ``restarted``        by ID: when it was sent last, until the task is no longer seen as failed
    ``retry_errors``     by ID: why the last one failed
    ``nameless``         instances that list a live task without an ID
    """

    elapsed: float = 0.0
    polls: int = 0
    tasks: dict[str, Task] = field(default_factory=dict)
    first_progress: dict[str, list[float]] = field(default_factory=dict)
    newest: dict[str, t.Optional[int]] = field(default_factory=dict)
    newest_finished: t.Optional[Task] = None
    expired: dict[str, Task] = field(default_factory=dict)
    unseen_since: float = 0.0
    outage_since: dict[str, float] = field(default_factory=dict)
    answered: bool = False
    takes_times: t.Optional[bool] = None
    retried: dict[str, int] = field(default_factory=dict)
    restarted: dict[str, float] = field(default_factory=dict)
    retry_errors: dict[str, str] = field(default_factory=dict)
    nameless: list[str] = field(default_factory=list)
