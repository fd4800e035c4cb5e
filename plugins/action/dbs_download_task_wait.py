# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waits by the module of the same name, in slices, and prints progress between them."""

from __future__ import annotations

import time
import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.apsaradb.backup.plugins.plugin_utils._following import (
    ORPHANED,
    is_orphaned,
)
from ansible_collections.apsaradb.backup.plugins.plugin_utils._progress import (
    ProgressLines,
    host_of,
    interval_of,
    is_read,
    show,
)

#: A slice that ends early because a state changed lasts at least so many seconds, and is put off while slices have cost
#: more than this share of the time: a change after a quiet hour is told soon, many in a row are told together.
MIN_SLICE = 5.0
MAX_SHARE = 0.01
DEFAULT_INTERVAL = 60.0


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = True

    def run(
        self, tmp: t.Optional[str] = None, task_vars: t.Optional[dict[str, t.Any]] = None
    ) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        if result.get("skipped"):
            return result
        self._take_role_options()
        if not is_read(self._task):
            result.update(
                self._execute_module(task_vars=task_vars, wrap_async=self._task.async_val)
            )
        else:
            result.update(self._run_in_slices(task_vars))
        return result

    def _take_role_options(self) -> None:
        """Lay what the variables of the role say, in the hidden option ``__role_options``, over the arguments of its task.

        A task can neither leave an argument out without losing its default of ``module_defaults``, nor set defaults of its own
        without losing those of the play.
        """
        options = self._task.args.pop("__role_options", None)
        if not options:
            return
        from ansible_collections.apsaradb.backup.plugins.module_utils._modules.dbs_download_task_wait import (
            ARGUMENT_SPEC,
        )

        for name, value in options.items():
            if value is not None and value not in ("", []):
                for alias in ARGUMENT_SPEC[name].get("aliases", ()):
                    self._task.args.pop(alias, None)
                self._task.args[name] = value

    def _run_in_slices(self, task_vars: t.Optional[dict[str, t.Any]]) -> dict[str, t.Any]:
        self._host = host_of(self._task, task_vars)
        began = time.monotonic()
        interval = interval_of(self._task, DEFAULT_INTERVAL)
        lines = ProgressLines(interval)
        # The first slice ends with the first poll, if there is anything to wait for then.
        shortest = 0.0
        costs = 0.0
        known: t.Optional[dict[str, t.Any]] = None
        while True:
            slice_began = time.monotonic()
            if known is not None:
                known["elapsed"] = slice_began - began
            part = {"seconds": [min(shortest, interval), interval], "known": known}
            module_args = dict(self._task.args, slice=part)
            result: dict[str, t.Any] = self._execute_module(
                module_args=module_args, task_vars=task_vars
            )
            waiting = result.get("_waiting")
            if not waiting:
                if known is not None:
                    _keep(result, known)
                    self._show(lines.last(result))
                result.get("invocation", {}).get("module_args", {}).pop("slice", None)
                return result
            known = t.cast("dict[str, t.Any]", waiting["known"])
            if is_orphaned():
                return dict(ORPHANED)
            now = time.monotonic()
            costs += now - slice_began - waiting["spent"]
            shortest = max(MIN_SLICE, costs / MAX_SHARE - (now - began))
            tasks, retried = known["tasks"].values(), known["retried"]
            self._show(
                lines.of(
                    tasks,
                    waiting["progress"],
                    known["elapsed"],
                    waiting["outage"],
                    retried,
                )
            )

    def _show(self, lines: t.Iterable[str]) -> None:
        show(self._display, self._host, lines)


def _keep(result: dict[str, t.Any], known: dict[str, t.Any]) -> None:
    """Have the result of a slice that could say nothing, as one that was killed, say what was known before."""
    if "download_tasks" not in result:
        tasks, retried = list(known["tasks"].values()), known["retried"]
        result.update(
            download_tasks=tasks, count=len(tasks), retried=retried, changed=bool(retried)
        )
