# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""One sentence for what requests, urllib3, OpenSSL and the system say in nested ones when there is no answer."""

from __future__ import annotations

import re
import typing as t
from http.client import HTTPException

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
    """What went wrong, and what to do about it. The time-outs are those that were in force, in seconds.

    ``option``: the one that sets the host.
    """
    text = _chain(error)
    sent = not (
        re.search(_NOT_CONNECTED, text)
        or isinstance(error, requests.exceptions.ConnectTimeout)
    )
    cause = _cause(text)

    def failed(
        message: str, hint: str = "", permanent: bool = False
    ) -> ConnectionFailedError:
        return ConnectionFailedError(message, hint=hint, permanent=permanent, sent=sent)

    if "CA certificate bundle" in text or "NO_CERTIFICATE_OR_CRL_FOUND" in text:
        return failed(
            f"the CA bundle cannot be read ({cause})",
            "Check ca_path, APSARADB_BACKUP_CA_PATH and REQUESTS_CA_BUNDLE",
            permanent=True,
        )
    if isinstance(error, requests.exceptions.ProxyError):
        return failed(
            f"the proxy for {host} could not be used ({cause})",
            "Check HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the host that runs the module",
            permanent="407" in text,
        )
    if "WRONG_VERSION_NUMBER" in text:
        return failed(
            f"{host} does not speak TLS", f"Check {option} and port", permanent=True
        )
    if isinstance(error, requests.exceptions.SSLError):
        if "CERTIFICATE_VERIFY_FAILED" not in text:
            return failed(f"the TLS connection to {host} failed ({cause})")
        return failed(
            f"the certificate of {host} is not trusted ({cause})",
            "If a proxy or a private CA signs the certificates, set ca_path to its CA bundle",
            permanent=True,
        )
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return failed(
            f"{host} did not accept a connection within {connect_timeout:.3g} seconds",
            f"Check network, firewall and {option}, or raise connect_timeout",
        )
    if isinstance(error, requests.exceptions.ReadTimeout) or "timed out" in text:
        return failed(
            f"{host} did not answer within {read_timeout:.3g} seconds",
            "If the service is only slow, raise read_timeout and request_timeout",
        )
    if re.search("[Ff]ailed to resolve|Name or service not known|getaddrinfo", text):
        return failed(
            f"the name of {host} could not be resolved",
            f"Check DNS, region and {option}; network=vpc works inside a VPC only, network=public needs Internet access",
        )
    if "refused" in text:
        return failed(
            f"{host} refused the connection", f"Check {option}, port and firewall"
        )
    return failed(f"the connection to {host} failed ({cause})")


def _chain(error: t.Optional[BaseException]) -> str:
    """What the libraries and the system say of this request.

    Whoever sends it while another error is handled has that one in its context: it says nothing of this request.
    """
    texts = []
    while isinstance(error, (OSError, HTTPError, HTTPException)):
        texts.append(str(error))
        error = error.__cause__ or error.__context__
    return " | ".join(texts)


def _cause(text: str) -> str:
    """The innermost reason, without addresses, queries and what is of no use to people."""
    cause = text.split(" | ")[-1]
    cause = re.sub(r"https?://\S+", "…", cause)
    cause = re.sub(
        r"\s*\(_ssl\.c:\d+\)|\[SSL[^\]]*\]\s*|<[^>]* object at 0x[^>]*>:?\s*", "", cause
    )
    return quoted(cause).rstrip(".")
