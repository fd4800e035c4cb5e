# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The one place that imports requests, so that its absence is reported and not raised."""

from __future__ import annotations

import traceback
import typing as t

from .deadline import TimedResponse

REQUESTS_IMPORT_ERROR: t.Optional[str] = None

try:
    import requests
    from requests.adapters import HTTPAdapter
    from requests.auth import AuthBase
    from urllib3.exceptions import HTTPError
except ImportError:
    REQUESTS_IMPORT_ERROR = traceback.format_exc()
    requests = None  # type: ignore[assignment]
    HTTPError = OSError  # type: ignore[assignment,misc]
    HTTPAdapter = AuthBase = object  # type: ignore[assignment,misc]

__all__ = [
    "REQUESTS_IMPORT_ERROR",
    "AuthBase",
    "HTTPError",
    "TimedAdapter",
    "requests",
]


class TimedAdapter(HTTPAdapter):
    """Has an answer, head and body, come within the time-out for reading, and not each piece of it."""

    def init_poolmanager(self, *arguments: t.Any, **named: t.Any) -> None:
        super().init_poolmanager(*arguments, **named)
        _have_timed(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **named: t.Any) -> t.Any:
        return _have_timed(super().proxy_manager_for(proxy, **named))


def _have_timed(manager: t.Any) -> t.Any:
    """The same manager of connections, which makes such as have one deadline for an answer."""
    pools = {}
    for scheme, pool in manager.pool_classes_by_scheme.items():
        connection = pool.ConnectionCls
        if connection.response_class is not TimedResponse:
            connection = type(
                connection.__name__,
                (connection,),
                {"response_class": TimedResponse},
            )
            pool = type(pool.__name__, (pool,), {"ConnectionCls": connection})
        pools[scheme] = pool
    manager.pool_classes_by_scheme = pools
    return manager
