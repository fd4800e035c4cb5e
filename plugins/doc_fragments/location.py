# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.apsaradb.backup.plugins.doc_fragments.connection import (
    with_sources,
    with_variables,
)


class ModuleDocFragment:
    # Options of what tells where files are. Their code: module_utils/_modules/dbs_download_location_info.py
    DOCUMENTATION: str = with_variables(r"""
options:
  cluster_name:
    description:
      - For sharded MongoDB instances, the name of the cluster. C(ClusterName) in the API.
    type: str
  duration:
    description:
      - How long links are valid, in seconds, from V(300) to V(86400), by default V(7200). C(Duration) in the API.
    type: int
  force_https:
    description:
      - Whether to change links from C(http://), as the service may give them, to C(https://). By default they are changed. Links to a
        loopback address are left as they are.
    type: bool
    aliases: [https]
  bucket:
    description:
      - The bucket that tasks with the target OSS write to. The service returns the path, but never the name of the bucket.
      - If this is set, the path is returned as C(oss://bucket/path).
    type: str
requirements:
  - On the host that signs - alibabacloud-oss-v2, if links to objects in a bucket are signed
""")

    # Of those that say it, and do nothing with it.
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
      - What to do about a task that does not exist - fail (V(error)), leave it out with a warning (V(warn)), or leave it out without one
        (V(skip)).
    type: str
    choices: [error, warn, skip]
    default: error
  on_unfinished:
    description:
      - What to do about a task that is not finished, or that has expired - fail (V(error)), leave it out with a warning (V(warn)), or
        leave it out without one (V(skip)).
    type: str
    choices: [error, warn, skip]
    default: error
"""

    # The same for plugins that run on the controller.
    CONTROLLER: str = with_sources(DOCUMENTATION)
    LOCATING_CONTROLLER: str = with_sources(LOCATING)
