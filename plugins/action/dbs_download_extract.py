# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Unpacks by the module of the same name, and prints progress."""

from __future__ import annotations

import typing as t

from ansible_collections.apsaradb.backup.plugins.plugin_utils._following import FollowingAction
from ansible_collections.apsaradb.backup.plugins.plugin_utils._progress import amount, duration, printable

Facts = dict[str, t.Any]


class ActionModule(FollowingAction):
    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[Facts] = None) -> Facts:
        result: Facts = super().run(tmp, task_vars)
        if result.get("skipped"):
            return result
        result.update(self.follow(dict(self._task.args), task_vars, lines))
        return result


def lines(progress: Facts, elapsed: float) -> t.Iterator[str]:
    """``/srv/x.tar.gz: 37.5 %, 210 MB/s, 120 files, about 3m 20s left, 2m 05s elapsed``; the rate is of the archive."""
    if not progress:
        return
    read, total, spent = progress["read"], progress["total"], progress["elapsed"]
    parts = [f"{100 * read / total:.1f} %"]
    if progress["step"] != "unpacking":
        parts.insert(0, progress["step"])
    if spent and read < total:
        parts.append(f"{amount(read / spent)}/s")
    if progress["files"]:
        parts.append(f"{progress['files']} files")
    if read and read < total:
        parts.append(f"about {duration((total - read) * spent / read)} left")
    parts.append(f"{duration(elapsed)} elapsed")
    yield f"{printable(progress['src'])}: {', '.join(parts)}"
