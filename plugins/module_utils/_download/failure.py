# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Explanation of a broken connection to a storage."""

from __future__ import annotations

import socket
import ssl

from .._base.connection_causes import Cause, connection_error
from .._base.errors import ConnectionFailedError
from .._base.http_options import HttpOptions

_SLOW_HINT = "If the server is only slow, raise read_timeout"
_HINTS = {
    Cause.NO_TLS: "Check the link and its port; for a task, force_https=false gives a link without TLS",
    Cause.CONNECT_TIMEOUT: "Check network and firewall. A VPC link works inside its VPC only",
    Cause.READ_TIMEOUT: _SLOW_HINT,
    Cause.SILENT: _SLOW_HINT,
    Cause.UNRESOLVED: "Check DNS. A VPC link works inside its VPC only: use network=public elsewhere",
    Cause.REFUSED: "Check port and firewall",
}


def connection_failure(
    error: Exception,
    host: str,
    options: HttpOptions,
    *,
    was_connected: bool,
    had_response: bool,
) -> ConnectionFailedError:
    """Explain in one sentence what the system, OpenSSL or ``http.client`` say."""
    cause = _cause_of(
        error, was_connected=was_connected, had_response=had_response
    )
    # Errors of http.client have texts that say less than their names.
    reason = getattr(error, "strerror", None) or type(error).__name__
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message
    if cause is Cause.PROXY:
        reason = str(error)
    is_connect_timeout = cause is Cause.CONNECT_TIMEOUT
    return connection_error(
        cause,
        host,
        reason=reason,
        seconds=options.connect_timeout
        if is_connect_timeout
        else options.read_timeout,
        hint=_HINTS.get(cause, ""),
    )


def _cause_of(
    error: Exception, *, was_connected: bool, had_response: bool
) -> Cause:
    text = str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return Cause.UNTRUSTED
    if isinstance(error, ssl.SSLError) and "WRONG_VERSION_NUMBER" in text:
        return Cause.NO_TLS
    if isinstance(error, TimeoutError) or "timed out" in text:
        if not was_connected:
            return Cause.CONNECT_TIMEOUT
        return Cause.SILENT if had_response else Cause.READ_TIMEOUT
    if isinstance(error, socket.gaierror):
        return Cause.UNRESOLVED
    if isinstance(error, ConnectionRefusedError):
        return Cause.REFUSED
    return Cause.PROXY if "Tunnel connection failed" in text else Cause.FAILED
