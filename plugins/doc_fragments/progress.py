# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # Of modules whose action plugin prints progress. The code: plugin_utils/_progress.py
    DOCUMENTATION = r"""
options:
  progress:
    description:
      - Whether to print progress on the controller. Each line begins with the name of the host in brackets.
      - If not set, the environment variable E(APSARADB_BACKUP_PROGRESS) of the controller is used, and then C(progress) in the section
        C(apsaradb_backup) of C(ansible.cfg).
      - Nothing is printed with C(async), C(no_log) or in check mode.
    type: bool
    default: true
"""

    # Of modules with a background job. The code: module_utils/_plugin/job_protocol.py
    JOB = r"""
options:
  progress_interval:
    description:
      - How often to print progress, in seconds, from V(1) to V(86400).
      - If not set, the environment variable E(APSARADB_BACKUP_PROGRESS_INTERVAL) of the controller is used, and then C(progress_interval)
        in the section C(apsaradb_backup) of C(ansible.cfg).
    type: float
    default: 30.0
"""
