# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""One exchange over HTTP, by the options of the connection, over connections that are kept alive."""

from __future__ import annotations

import typing as t
from urllib.parse import urlsplit

from .._base.errors import MissingLibraryError
from .._base.requests_import import (
    REQUESTS_IMPORT_ERROR,
    HTTPError,
    TimedAdapter,
    requests,
)
from . import response as answer
from .endpoints import is_loopback_url

if t.TYPE_CHECKING:
    from .._base.http_options import HttpOptions


class Session:
    """Threads may share it. Redirects are not followed: what is sent is signed for one host."""

    def __init__(
        self,
        base_url: str,
        options: HttpOptions,
        headers: t.Mapping[str, str],
        option: str = "endpoint",
    ) -> None:
        """``base_url``: ``scheme://host`` of all that is asked for; ``option``: the one that it is set by, for errors."""
        if REQUESTS_IMPORT_ERROR is not None:
            raise MissingLibraryError(
                "requests", "to call the service", REQUESTS_IMPORT_ERROR
            )
        self._options = options
        self._option = option
        self._session = requests.Session()
        self._session.headers.update(headers)
        # A thread that finds no free connection waits for one, so that no more are ever open.
        adapter = TimedAdapter(
            pool_connections=1,
            pool_maxsize=options.max_connections,
            pool_block=True,
        )
        self._session.mount(f"{urlsplit(base_url).scheme}://", adapter)
        # Given with each request: what stands in the session loses to the environment.
        self._settings: dict[str, t.Any] = {
            "verify": (options.ca_path or True)
            if options.validate_certs
            else False,
            "proxies": {}
            if is_loopback_url(base_url)
            else requests.utils.get_environ_proxies(base_url),
            # The body is read elsewhere, which stops at a limit: requests would take all of it into memory.
            "stream": True,
        }

    def send(self, request: t.Any, left: float) -> answer.Response:
        """Return the answer. Raise ConnectionFailedError if it takes longer than ``left`` seconds.

        The request has an ``auth``, as otherwise ``~/.netrc`` would put another one in its place.
        """
        # urllib3 refuses a time-out of zero.
        left = max(left, 0.001)
        connect_timeout, read_timeout = (
            min(self._options.connect_timeout, left),
            min(self._options.read_timeout, left),
        )
        host = urlsplit(request.url).netloc
        try:
            response = self._session.send(
                self._session.prepare_request(request),
                timeout=(connect_timeout, read_timeout),
                allow_redirects=False,
                **self._settings,
            )
            return answer.read(response, host)
        except (OSError, HTTPError) as error:
            # Long, and seldom needed.
            from .._base.diagnosis import connection_failed

            # requests' own exceptions are an OSError, as is a CA bundle that is not there; urllib3's are not.
            raise connection_failed(
                error, host, connect_timeout, read_timeout, self._option
            ) from None

    def close(self) -> None:
        self._session.close()
