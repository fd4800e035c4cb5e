# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Layer 3, what stands behind the thin plugins: from options to calls, from answers to results.

``options``             options that plugins share
``query``               JMESPath expressions on results
``module``              how a module ends
``download_task_info``  the module of that name

Stands on layers 1 and 2, ``_transport`` and ``_dbs``.
"""

from __future__ import annotations
