# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Layer 1, signing and transport: how one signed call reaches an Alibaba Cloud service and what comes back.

``signature``    ACS3-HMAC-SHA256
``credentials``  who signs
``endpoint``     which host is asked
``errors``       what can go wrong, and which of it is worth another try
``retry``        how often, how long, with which pauses
``client``       the call itself

Knows nothing of backups: that is layer 2, ``_dbs``.
"""

from __future__ import annotations
