# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Explanation of a broken connection to a storage."""

from __future__ import annotations

import socket
import ssl

from .._base.errors import ConnectionFailedError
from .._base.http_options import HttpOptions


def connection_failure(
    error: Exception,
    host: str,
    options: HttpOptions,
    *,
    was_connected: bool,
    had_response: bool,
) -> ConnectionFailedError:
    """Explain in one sentence what the system, OpenSSL or ``http.client`` say."""
    text = str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return _untrusted_certificate(host, error.verify_message)
    if isinstance(error, ssl.SSLError) and "WRONG_VERSION_NUMBER" in text:
        return _no_tls(host)
    is_timeout = isinstance(error, TimeoutError) or "timed out" in text
    if is_timeout and was_connected:
        return _read_timeout(host, options.read_timeout, had_response)
    if is_timeout:
        return ConnectionFailedError(
            f"{host} did not accept a connection within {options.connect_timeout:g} seconds",
            hint="Check network and firewall. A VPC link works inside its VPC only",
        )
    if isinstance(error, socket.gaierror):
        return ConnectionFailedError(
            f"the name of {host} could not be resolved",
            hint="Check DNS. A VPC link works inside its VPC only: use network=public elsewhere",
        )
    if isinstance(error, ConnectionRefusedError):
        return ConnectionFailedError(
            f"{host} refused the connection", hint="Check port and firewall"
        )
    if "Tunnel connection failed" in text:
        return ConnectionFailedError(
            f"the proxy for {host} could not be used ({text})",
            hint="Check HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the managed host",
            permanent="407" in text,
        )
    # Errors of http.client have texts that say less than their names.
    reason = getattr(error, "strerror", None) or type(error).__name__
    return ConnectionFailedError(f"the connection to {host} failed ({reason})")


def _read_timeout(host: str, seconds: float, had_response: bool) -> ConnectionFailedError:
    """The error for a server that was silent for so many seconds, before its response or within."""
    message = f"{host} did not answer within {seconds:g} seconds"
    if had_response:
        message = f"{host} sent nothing for {seconds:g} seconds"
    return ConnectionFailedError(
        message, hint="If the server is only slow, raise read_timeout"
    )


def _untrusted_certificate(host: str, reason: str) -> ConnectionFailedError:
    return ConnectionFailedError(
        f"the certificate of {host} is not trusted ({reason})",
        hint="If a proxy or a private CA signs the certificates, set ca_path to its CA bundle",
        permanent=True,
    )


def _no_tls(host: str) -> ConnectionFailedError:
    return ConnectionFailedError(
        f"{host} does not speak TLS",
        hint="Check the link and its port; for a task, force_https=false gives a link without TLS",
        permanent=True,
    )
