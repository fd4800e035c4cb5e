# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The version of the collection, for the user agent."""

from __future__ import annotations

#: Stands in galaxy.yml too; a test keeps the two equal.
VERSION = "1.0.0"
