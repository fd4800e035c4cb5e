# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""What users choose for a restore into MySQL."""

from __future__ import annotations

import dataclasses
import typing as t

from .mysql_driver import Login


@dataclasses.dataclass(frozen=True)
class MySQLOptions:
    """How to restore into MySQL. ``sets_local_infile``: whether to allow it during the restore.

    ``sql_modes``: further ones, for values or expressions of old servers.
    ``disables_redo_log``: whether to disable it during the restore.
    """

    login: Login
    time_zone: t.Optional[str] = None
    collation_map: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    writes_binlog: bool = True
    sets_local_infile: bool = False
    disables_redo_log: bool = False
    shows_data: bool = False
    sql_modes: tuple[str, ...] = ()
