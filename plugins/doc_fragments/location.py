# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.apsaradb.backup.plugins.doc_fragments.connection import (
    with_sources,
    with_variables,
)


class ModuleDocFragment:
    # Options of plugins that return locations of files. Their code: module_utils/_modules/dbs_download_location_info.py
    DOCUMENTATION: str = with_variables(r"""
options:
  cluster_name:
    description:
      - For sharded MongoDB instances, the name of the cluster. C(ClusterName) in the API.
    type: str
  duration:
    description:
      - How long links are valid, in seconds, from V(300) to V(86400). By default V(7200). C(Duration) in the API.
    type: int
  force_https:
    description:
      - Whether to change C(http://) links from the service to C(https://). By default V(true). Links to a loopback address are not
        changed.
    type: bool
    aliases: [https]
  bucket:
    description:
      - The name of the bucket of tasks with the target OSS. The service returns their path, but never the bucket.
      - If this is set, the path is returned as C(oss://bucket/path).
    type: str
requirements:
  - On the host that signs - alibabacloud-oss-v2, if links to objects in a bucket are signed
""")

    # Options of those that only return locations.
    LOCATING = r"""
options:
  presign:
    description:
      - Whether to sign a link for each object under the path of a task with the target OSS. Needs O(bucket), the RAM actions
        C(oss:ListObjects) and C(oss:GetObject), and the Python package C(alibabacloud-oss-v2).
    type: bool
    default: false
  on_missing:
    description:
      - What to do if a task does not exist. V(error) fails. V(warn) omits the task with a warning. V(skip) omits it without a warning.
    type: str
    choices: [error, warn, skip]
    default: error
  on_unfinished:
    description:
      - What to do if a task is not finished or has expired. V(error) fails. V(warn) omits the task with a warning. V(skip) omits it
        without a warning.
    type: str
    choices: [error, warn, skip]
    default: error
"""

    # The same for plugins that run on the controller.
    CONTROLLER: str = with_sources(DOCUMENTATION)
    LOCATING_CONTROLLER: str = with_sources(LOCATING)
