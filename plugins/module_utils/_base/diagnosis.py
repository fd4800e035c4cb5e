# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""One sentence for what requests, urllib3, OpenSSL and the system say in nested ones when there is no answer."""

from __future__ import annotations

import re
import typing as t
from http.client import HTTPException

from .connection_causes import Cause, connection_error
from .errors import ConnectionFailedError
from .requests_import import HTTPError, requests
from .text import quoted

#: The connection was never made, so that no request can have been sent.
_NOT_CONNECTED = (
    "Failed to establish a new connection|Tunnel connection failed|Connection refused|[Ff]ailed to resolve|Name or service not known"
    "|getaddrinfo|CERTIFICATE_VERIFY_FAILED|WRONG_VERSION_NUMBER|NO_CERTIFICATE_OR_CRL_FOUND|CA certificate bundle"
)


def connection_failed(
    error: Exception,
    host: str,
    connect_timeout: float,
    read_timeout: float,
    option: str = "endpoint",
) -> ConnectionFailedError:
    """Explain an error of requests, and say what to do.

    The timeouts are those that were in force, in seconds. ``option``: the one that sets the host.
    """
    text = _chain(error)
    cause = _cause_of(error, text)
    is_connected = not re.search(_NOT_CONNECTED, text)
    hints = {
        Cause.NO_TLS: f"Check {option} and port",
        Cause.CONNECT_TIMEOUT: f"Check network, firewall and {option}, or raise connect_timeout",
        Cause.READ_TIMEOUT: "If the service is only slow, raise read_timeout and request_timeout",
        Cause.UNRESOLVED: f"Check DNS, region and {option}; network=vpc works inside a VPC only, network=public needs Internet access",
        Cause.REFUSED: f"Check {option}, port and firewall",
    }
    return connection_error(
        cause,
        host,
        reason=_reason(text),
        seconds=connect_timeout
        if cause is Cause.CONNECT_TIMEOUT
        else read_timeout,
        hint=hints.get(cause, ""),
        sent=is_connected and cause is not Cause.CONNECT_TIMEOUT,
    )


def _cause_of(error: Exception, text: str) -> Cause:
    """Return the cause by the type of the error, or by what libraries say. The order matters: texts overlap."""
    exceptions = requests.exceptions
    if "CA certificate bundle" in text or "NO_CERTIFICATE_OR_CRL_FOUND" in text:
        return Cause.BAD_BUNDLE
    if isinstance(error, exceptions.ProxyError):
        return Cause.PROXY
    if "WRONG_VERSION_NUMBER" in text:
        return Cause.NO_TLS
    if isinstance(error, exceptions.SSLError):
        is_untrusted = "CERTIFICATE_VERIFY_FAILED" in text
        return Cause.UNTRUSTED if is_untrusted else Cause.TLS_FAILED
    if isinstance(error, exceptions.ConnectTimeout):
        return Cause.CONNECT_TIMEOUT
    if isinstance(error, exceptions.ReadTimeout) or "timed out" in text:
        return Cause.READ_TIMEOUT
    if re.search(
        "[Ff]ailed to resolve|Name or service not known|getaddrinfo", text
    ):
        return Cause.UNRESOLVED
    return Cause.REFUSED if "refused" in text else Cause.FAILED


def _chain(error: t.Optional[BaseException]) -> str:
    """What the libraries and the system say of this request.

    Whoever sends it while another error is handled has that one in its context: it says nothing of this request.
    """
    texts = []
    while isinstance(error, (OSError, HTTPError, HTTPException)):
        texts.append(str(error))
        error = error.__cause__ or error.__context__
    return " | ".join(texts)


def _reason(text: str) -> str:
    """Return the innermost reason, without addresses, queries and what is of no use to people."""
    cause = text.split(" | ")[-1]
    cause = re.sub(r"https?://\S+", "…", cause)
    cause = re.sub(
        r"\s*\(_ssl\.c:\d+\)|\[SSL[^\]]*\]\s*|<[^>]* object at 0x[^>]*>:?\s*",
        "",
        cause,
    )
    return quoted(cause).rstrip(".")
