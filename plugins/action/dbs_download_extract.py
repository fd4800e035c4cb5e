# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Unpacks by the module of the same name, and prints progress."""

from __future__ import annotations

from ansible_collections.apsaradb.backup.plugins.module_utils._modules.dbs_download_extract import (
    HOST_SPEC,
    DownloadExtract,
)
from ansible_collections.apsaradb.backup.plugins.plugin_utils._following import (
    Facts,
    FollowingAction,
)
from ansible_collections.apsaradb.backup.plugins.plugin_utils._progress import (
    ExtractionLines,
)


class ActionModule(FollowingAction):
    RUNNER = DownloadExtract

    def _run(self, options: Facts, task_vars: Facts) -> Facts:
        return self.follow(
            self.arguments_of(HOST_SPEC), task_vars, ExtractionLines()
        )
