# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds and signs for what the module of the same name is to fetch, and prints its progress."""

from __future__ import annotations

import math
import typing as t

from ansible.module_utils.basic import FILE_COMMON_ARGUMENTS
from ansible_collections.apsaradb.backup.plugins.module_utils._base.errors import (
    ConfigurationError,
    foreseen,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._base.text import (
    safe,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._modules.dbs_download_file import (
    HOST_SPEC,
    DownloadFile,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._modules.download_settings import (
    settings_of,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.options import (
    completed,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.tuning import (
    ORPHAN_TIMEOUT,
)
from ansible_collections.apsaradb.backup.plugins.plugin_utils._environment import (
    task_environment,
)
from ansible_collections.apsaradb.backup.plugins.plugin_utils._following import (
    Facts,
    FollowingAction,
)
from ansible_collections.apsaradb.backup.plugins.plugin_utils._progress import (
    TransferLines,
)

#: Seconds that links may take to be renewed, and each service that is asked: a work that nobody follows meanwhile ends itself.
_RENEWAL_TIMEOUT = ORPHAN_TIMEOUT / 4

#: Options of the host; the others say where files are, and are for the controller alone.
_OF_HOST = t.cast(Facts, {**HOST_SPEC, **FILE_COMMON_ARGUMENTS})


class ActionModule(FollowingAction):
    RUNNER = DownloadFile

    def _run(self, options: Facts, task_vars: Facts) -> Facts:
        arguments = self.arguments_of(_OF_HOST)
        if options["url"]:
            with task_environment(self):
                # A bundle of authorities is the host's.
                settings_of(completed({**options, "ca_path": None}))
            arguments["url"] = options["url"]
            return self.follow(arguments, task_vars, TransferLines())

        found = self._files(options)
        if not found:
            path = options["oss_path"] or "the path of the task"
            raise ConfigurationError(f"There are no objects under {path}.")
        for name in ("task_id", "oss_path"):
            if options[name]:
                arguments[name] = options[name]
        arguments["_links"] = [url for _unused, url in found]
        names = [name for name, _unused in found if name is not None]
        if names:
            arguments["_names"] = names

        def renew() -> list[str]:
            return [
                url for _unused, url in self._files(options, _RENEWAL_TIMEOUT)
            ]

        return self.follow(arguments, task_vars, TransferLines(), renew=renew)

    def _files(
        self, options: Facts, timeout: float = math.inf
    ) -> list[tuple[t.Optional[str], str]]:
        """Ask for the name and the link of each file. ``timeout``: seconds for each service."""
        # With url, the controller asks nobody, and need not load what it would take.
        from ansible_collections.apsaradb.backup.plugins.module_utils._modules.dbs_download_location_info import (
            files_of,
        )

        with task_environment(self), foreseen():
            whole = completed(options)
            settings_of(whole)
            whole["request_timeout"] = min(whole["request_timeout"], timeout)
            return files_of(
                whole,
                lambda text: self._display.warning(safe(text)),
                self._task.check_mode,
            )
