# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Creates or retries a task by the module of the same name, and prints progress of what it waits for."""

from __future__ import annotations

from ansible_collections.apsaradb.backup.plugins.module_utils._modules.dbs_download_task import (
    DownloadTaskModule,
)
from ansible_collections.apsaradb.backup.plugins.plugin_utils._following import (
    Facts,
    FollowingAction,
)
from ansible_collections.apsaradb.backup.plugins.plugin_utils._progress import (
    TaskLines,
)


class ActionModule(FollowingAction):
    RUNNER = DownloadTaskModule

    def _run(self, options: Facts, task_vars: Facts) -> Facts:
        return self.follow(
            dict(self._task.args),
            task_vars,
            TaskLines(),
            is_long=options["wait"] or options["wait_for_slot"],
        )
