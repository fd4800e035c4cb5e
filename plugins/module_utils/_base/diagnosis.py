# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""One sentence for what the system, OpenSSL and ``http.client`` say when there is no answer.

The package that finds credentials sends requests of its own, by requests and urllib3, whose errors repeat the same words.
"""

from __future__ import annotations

import re
import socket
import typing as t
from http.client import HTTPException

from .errors import ConnectionFailedError
from .text import quoted

#: What requests and urllib3 say of a connection that was never made, and of a proxy.
_NOT_CONNECTED = (
    "ConnectTimeout|Failed to establish a new connection|CERTIFICATE_VERIFY_FAILED"
)
_BY_PROXY = "ProxyError|Tunnel connection failed"

_UNRESOLVED = "[Ff]ailed to resolve|[Nn]ame or service not known|[Nn]ame resolution|nodename nor servname|No address associated"


def connection_failed(
    error: Exception,
    host: str,
    connect_timeout: float,
    read_timeout: float,
    option: str = "endpoint",
    *,
    is_connected: t.Optional[bool] = None,
    has_proxy: bool = False,
) -> ConnectionFailedError:
    """What went wrong, and what to do about it. The time-outs are those that were in force, in seconds.

    ``option``: the one that sets the host. ``is_connected``: whether the connection was made, so that a request may have
    been sent; None where the error alone can tell. ``has_proxy``: whether it was to be made by a proxy.
    """
    text = _chain(error)
    connected = (
        not re.search(_NOT_CONNECTED, text) if is_connected is None else is_connected
    )
    is_tls = "SSL: " in text
    cause = _cause(text)

    def failed(
        message: str, hint: str = "", permanent: bool = False
    ) -> ConnectionFailedError:
        return ConnectionFailedError(
            message, hint=hint, permanent=permanent, sent=connected
        )

    if "NO_CERTIFICATE_OR_CRL_FOUND" in text:
        return failed(
            f"the CA bundle cannot be read ({cause})",
            "Check ca_path, APSARADB_BACKUP_CA_PATH and REQUESTS_CA_BUNDLE",
            permanent=True,
        )
    if re.search(_BY_PROXY, text) or (has_proxy and not connected and not is_tls):
        return failed(
            f"the proxy for {host} could not be used ({cause})",
            "Check HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the host that runs the module",
            permanent="407" in text,
        )
    if is_tls and re.search("WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE", text):
        return failed(
            f"{host} does not speak TLS", f"Check {option} and port", permanent=True
        )
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return failed(
            f"the certificate of {host} is not trusted ({cause})",
            "If a proxy or a private authority signs certificates here, name its CA bundle in ca_path",
            permanent=True,
        )
    if "timed out" in text and not connected:
        return failed(
            f"{host} accepted no connection within {connect_timeout:.3g} seconds",
            f"Check network, firewall and {option}, or raise connect_timeout",
        )
    if "timed out" in text:
        return failed(
            f"{host} did not answer within {read_timeout:.3g} seconds",
            "Raise read_timeout and total_timeout if it is only slow",
        )
    if isinstance(error, socket.gaierror) or re.search(_UNRESOLVED, text):
        return failed(
            f"the name of {host} could not be resolved",
            f"Check DNS, region and {option}; network=vpc works inside a VPC only, network=public needs the Internet",
        )
    if "refused" in text:
        return failed(
            f"{host} refused the connection", f"Check {option}, port and firewall"
        )
    what = "TLS with" if is_tls else "the connection to"
    return failed(f"{what} {host} broke ({cause})")


def _chain(error: t.Optional[BaseException]) -> str:
    """What the libraries and the system say of this request.

    Whoever sends it while another error is handled has that one in its context: it says nothing of this request.
    """
    texts = []
    while error and (
        isinstance(error, (OSError, HTTPException)) or _is_of_urllib3(error)
    ):
        texts.append(str(error))
        error = error.__cause__ or error.__context__
    return " | ".join(texts)


def _is_of_urllib3(error: object) -> bool:
    """Whether it is one of its own errors, which are no OSError."""
    return type(error).__module__.partition(".")[0] == "urllib3"


def _cause(text: str) -> str:
    """The innermost reason, without addresses, queries and what is of no use to people."""
    cause = text.split(" | ")[-1]
    cause = re.sub(r"https?://\S+", "…", cause)
    cause = re.sub(
        r"\s*\(_ssl\.c:\d+\)|\[SSL[^\]]*\]\s*|<[^>]* object at 0x[^>]*>:?\s*", "", cause
    )
    return quoted(cause).rstrip(".")
