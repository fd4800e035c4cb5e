# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Creates or retries a task by the module of the same name, and prints the progress of what it waits for."""

from __future__ import annotations

import typing as t

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.apsaradb.backup.plugins.plugin_utils._following import (
    DEFAULT_INTERVAL,
    FollowingAction,
)
from ansible_collections.apsaradb.backup.plugins.plugin_utils._progress import (
    ProgressLines,
    interval_of,
)

Facts = dict[str, t.Any]


class ActionModule(FollowingAction):
    def run(
        self, tmp: t.Optional[str] = None, task_vars: t.Optional[Facts] = None
    ) -> Facts:
        result: Facts = super().run(tmp, task_vars)
        if result.get("skipped"):
            return result
        arguments = dict(self._task.args)
        progress = ProgressLines(interval_of(self._task, DEFAULT_INTERVAL))

        def lines(facts: Facts, elapsed: float) -> t.Iterator[str]:
            if facts:
                # Of a task in the way, and then of the new one.
                before = "in the way: " if facts["in_the_way"] else ""
                for line in progress.of(
                    facts["tasks"], facts["rates"], elapsed, facts["outage"]
                ):
                    yield before + line

        is_long = any(
            boolean(arguments.get(name) or False, strict=False)
            for name in ("wait", "wait_for_slot")
        )
        result.update(self.follow(arguments, task_vars, lines, is_long=is_long))
        return result
