# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds and signs for what the module of the same name is to fetch, and prints its progress."""

from __future__ import annotations

import math
import typing as t

from ansible.module_utils.basic import FILE_COMMON_ARGUMENTS
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.errors import UnsupportedError
from ansible_collections.apsaradb.backup.plugins.module_utils._base.errors import (
    ConfigurationError,
    foreseen,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._base.text import safe
from ansible_collections.apsaradb.backup.plugins.module_utils._modules.dbs_download_file import (
    ARGUMENT_SPEC,
    CONSTRAINTS,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._modules.download_settings import (
    settings_of,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.background_job import (
    ORPHAN_TIMEOUT,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.options import (
    completed,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.runner import (
    outcome,
)
from ansible_collections.apsaradb.backup.plugins.plugin_utils._environment import (
    task_environment,
)
from ansible_collections.apsaradb.backup.plugins.plugin_utils._following import (
    BETWEEN,
    FollowingAction,
)
from ansible_collections.apsaradb.backup.plugins.plugin_utils._progress import (
    transfer_line,
)

#: Seconds that links may take to be renewed, and each service that is asked: a work that nobody follows meanwhile ends itself.
_RENEWAL_TIMEOUT = ORPHAN_TIMEOUT / 4

#: What the module needs of the options; the others say where files are, and are for the controller alone.
HOST_OPTIONS = {
    "dest",
    "force",
    "backup",
    "checksum",
    "connections",
    "limit_rate",
    "sync",
    "keep_partial",
    "progress",
    "progress_interval",
    "validate_certs",
    "ca_path",
    "connect_timeout",
    "read_timeout",
    "max_retries",
    "total_timeout",
    *FILE_COMMON_ARGUMENTS,
    "attr",  # its alias of attributes
}


class ActionModule(FollowingAction):
    def run(
        self, tmp: t.Optional[str] = None, task_vars: t.Optional[dict[str, t.Any]] = None
    ) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        if not result.get("skipped"):
            result.update(outcome(lambda: self._fetch(task_vars)))
        return result

    def _fetch(self, task_vars: t.Optional[dict[str, t.Any]]) -> dict[str, t.Any]:
        spec = {
            name: option for name, option in ARGUMENT_SPEC.items() if name not in BETWEEN
        }
        validated = ArgumentSpecValidator(
            {**spec, **FILE_COMMON_ARGUMENTS}, **CONSTRAINTS
        ).validate(self._task.args)
        messages = [
            f"Unsupported parameters for ({self._task.action}) module: {error.msg}"
            if isinstance(error, UnsupportedError)
            else error.msg
            for error in validated.errors
        ]
        if messages:
            raise ConfigurationError(
                ". ".join(message.rstrip(".") for message in messages) + "."
            )
        given = validated.validated_parameters
        arguments = {
            name: value for name, value in self._task.args.items() if name in HOST_OPTIONS
        }
        if given["url"]:
            with task_environment(self):
                # A bundle of authorities is the host's.
                settings_of(completed({**given, "ca_path": None}))
            arguments["url"] = given["url"]
            return self.follow(arguments, task_vars, transfer_line)

        # With url, the controller asks nobody, and need not load what it would take.
        from ansible_collections.apsaradb.backup.plugins.module_utils._modules.dbs_download_location_info import (
            files_of,
        )

        def files(timeout: float = math.inf) -> list[tuple[t.Optional[str], str]]:
            with task_environment(self), foreseen():
                options = completed(given)
                settings_of(options)
                options["total_timeout"] = min(options["total_timeout"], timeout)
                return files_of(
                    options,
                    lambda text: self._display.warning(safe(text)),
                    self._task.check_mode,
                )

        found = files()
        if not found:
            raise ConfigurationError(
                f"There are no objects under {given['oss_path'] or 'the path of the task'}."
            )
        for name in ("task_id", "oss_path"):
            if given[name]:
                arguments[name] = given[name]
        arguments["links"] = [url for _unused, url in found]
        names = [name for name, _unused in found if name is not None]
        if names:
            arguments["names"] = names
        return self.follow(
            arguments,
            task_vars,
            transfer_line,
            lambda: [url for _unused, url in files(_RENEWAL_TIMEOUT)],
        )
