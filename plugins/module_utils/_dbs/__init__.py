# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Layer 2, the Database Backup (DBS) API, version 2021-01-01: its operations, paging and data.

``service``         its hosts and error codes
``download_tasks``  the operation DescribeDownloadTask
``task``            one download task: names, types, states
``paging``          all items of a paged operation, each once
``values``          times, numbers and names as the API writes them

Stands on layer 1, ``_transport``; knows nothing of Ansible.
"""

from __future__ import annotations
