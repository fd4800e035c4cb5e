# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Unpacks by the module of the same name, and prints progress."""

from __future__ import annotations

import typing as t

from ansible_collections.apsaradb.backup.plugins.plugin_utils._following import (
    FollowingAction,
)
from ansible_collections.apsaradb.backup.plugins.plugin_utils._progress import (
    extraction_line,
)

Facts = dict[str, t.Any]


class ActionModule(FollowingAction):
    def run(
        self, tmp: t.Optional[str] = None, task_vars: t.Optional[Facts] = None
    ) -> Facts:
        result: Facts = super().run(tmp, task_vars)
        if result.get("skipped"):
            return result
        result.update(self.follow(dict(self._task.args), task_vars, extraction_line))
        return result
