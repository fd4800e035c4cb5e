# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Why there is no connection, or no answer: the same sentences for all clients."""

from __future__ import annotations

import enum

from .errors import ConnectionFailedError


class Cause(enum.Enum):
    """The value is the sentence: ``reason`` is what the system or a library says."""

    BAD_BUNDLE = "the CA bundle cannot be read ({reason})"
    PROXY = "the proxy for {host} could not be used ({reason})"
    NO_TLS = "{host} does not speak TLS"
    UNTRUSTED = "the certificate of {host} is not trusted ({reason})"
    TLS_FAILED = "the TLS connection to {host} failed ({reason})"
    CONNECT_TIMEOUT = (
        "{host} did not accept a connection within {seconds:.3g} seconds"
    )
    READ_TIMEOUT = "{host} did not answer within {seconds:.3g} seconds"
    SILENT = "{host} sent nothing for {seconds:.3g} seconds"
    UNRESOLVED = "the name of {host} could not be resolved"
    REFUSED = "{host} refused the connection"
    FAILED = "the connection to {host} failed ({reason})"


#: No retry helps: somebody has to change something first.
_PERMANENT = {Cause.BAD_BUNDLE, Cause.NO_TLS, Cause.UNTRUSTED}

#: Hints that depend on nothing.
_HINTS = {
    Cause.BAD_BUNDLE: "Check ca_path, APSARADB_BACKUP_CA_PATH and REQUESTS_CA_BUNDLE",
    Cause.PROXY: "Check HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the host that runs the module",
    Cause.UNTRUSTED: "If a proxy or a private CA signs the certificates, set ca_path to its CA bundle",
}


def connection_error(
    cause: Cause,
    host: str,
    *,
    reason: str = "",
    seconds: float = 0.0,
    hint: str = "",
    sent: bool = True,
) -> ConnectionFailedError:
    """Return the error. ``seconds``: the timeout. ``sent``: whether a request may have been sent."""
    # A proxy that wants a login wants it each time.
    permanent = cause in _PERMANENT or (
        cause is Cause.PROXY and "407" in reason
    )
    return ConnectionFailedError(
        cause.value.format(host=host, reason=reason, seconds=seconds),
        hint=hint or _HINTS.get(cause, ""),
        permanent=permanent,
        sent=sent,
    )
