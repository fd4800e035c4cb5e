# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waits by the module of the same name, and prints progress."""

from __future__ import annotations

from ansible_collections.apsaradb.backup.plugins.module_utils._modules.dbs_download_task_wait import (
    ARGUMENT_SPEC,
    DownloadTaskWait,
)
from ansible_collections.apsaradb.backup.plugins.plugin_utils._following import (
    Facts,
    FollowingAction,
)
from ansible_collections.apsaradb.backup.plugins.plugin_utils._progress import (
    TaskLines,
)


class ActionModule(FollowingAction):
    RUNNER = DownloadTaskWait

    def validate(self) -> Facts:
        self._take_role_options()
        return super().validate()

    def _run(self, options: Facts, task_vars: Facts) -> Facts:
        return self.follow(dict(self._task.args), task_vars, TaskLines())

    def _take_role_options(self) -> None:
        """Lay the variables of the role, in the hidden option ``__role_options``, over the arguments of its task.

        A task can neither leave an argument out without losing its default of ``module_defaults``,
        nor set defaults of its own without losing those of the play.
        """
        options = self._task.args.pop("__role_options", None) or {}
        for name, value in options.items():
            if value is not None and value not in ("", []):
                for alias in ARGUMENT_SPEC[name].get("aliases", ()):
                    self._task.args.pop(alias, None)
                self._task.args[name] = value
