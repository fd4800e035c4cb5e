# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""How hosts are asked, whichever client does it: of DBS, of RDS, of OSS, of STS, and of the files themselves."""

from __future__ import annotations

import typing as t

from .retry import RetryPolicy


class HttpOptions(t.NamedTuple):
    """``connect_timeout`` and ``read_timeout`` in seconds; ``max_connections`` at the same time.

    ``read_timeout`` is for a whole answer; of a file, for an answer until its body begins, and then for each piece of it.

    No client reads the environment for any of this: ``ca_path`` has what it says already.
    """

    connect_timeout: float = 5.0
    read_timeout: float = 30.0
    validate_certs: bool = True
    ca_path: t.Optional[str] = None
    max_connections: int = 8
    retry: RetryPolicy = RetryPolicy()
