# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Connections of ``http.client``, for all clients: by which proxy, and which certificates are trusted.

No package is needed for that on the host, and none has to be loaded.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import os
import ssl
import typing as t
from base64 import b64encode
from urllib.parse import unquote, urlsplit

from .deadline import TimedResponse
from .errors import ConfigurationError
from .text import hide_login

if t.TYPE_CHECKING:
    from .http_options import HttpOptions


def new_connection(
    scheme: str, host: str, port: int, proxy: str, options: HttpOptions
) -> http.client.HTTPConnection:
    """A connection that is not made yet. Raises ConfigurationError if ca_path cannot be read.

    By a proxy, requests to a host without TLS need the whole address for a target, and ``proxy_login``.
    """
    address = urlsplit(proxy)
    first = (address.hostname or "", address.port or 80) if proxy else (host, port)
    connection: http.client.HTTPConnection
    if scheme == "https":
        connection = http.client.HTTPSConnection(
            *first, timeout=options.connect_timeout, context=tls_context(options)
        )
        if proxy:
            connection.set_tunnel(host, port, headers=proxy_login(proxy))
    else:
        connection = http.client.HTTPConnection(*first, timeout=options.connect_timeout)
    connection.response_class = TimedResponse
    return connection


# Cached, as loading the certificates of the system costs more than a request, and each connection needs them.
@functools.lru_cache(maxsize=4)
def tls_context(options: HttpOptions) -> ssl.SSLContext:
    """The context of TLS for these options. Raises ConfigurationError if ca_path cannot be read."""
    ca_path = options.ca_path or _bundle_of_certifi()
    try:
        if ca_path and os.path.isdir(ca_path):
            context = ssl.create_default_context(capath=ca_path)
        else:
            context = ssl.create_default_context(cafile=ca_path)
    except OSError as error:
        raise ConfigurationError(
            f"the CA bundle {ca_path!r} cannot be read ({error.strerror or error}).",
            hint="Check ca_path, APSARADB_BACKUP_CA_PATH and REQUESTS_CA_BUNDLE",
        ) from None
    if not options.validate_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _bundle_of_certifi() -> t.Optional[str]:
    """The certificates of the package certifi, if it is there, where the system has none, as a small container."""
    system = ssl.get_default_verify_paths()
    if system.cafile or system.capath:
        return None
    try:
        import certifi
    except ImportError:
        return None
    return str(certifi.where())


def proxy_of(scheme: str, host: str) -> str:
    """The proxy for a host by the environment; empty for none, as for loopback addresses."""
    if host == "localhost" or host.startswith("127.") or host == "::1":
        return ""
    # Slow to import, and not needed for a service on the same host.
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all") or ""
    if not proxy or proxy_bypass(host) or _is_in_network(host, proxies.get("no", "")):
        return ""
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if not proxy.lower().startswith("http://"):
        raise ConfigurationError(
            f"the proxy for {host} is not one that begins with http://: others are not supported."
        )
    return proxy


def _is_in_network(host: str, no_proxy: str) -> bool:
    """Whether an address in numbers is in one of the networks of NO_PROXY, such as ``10.0.0.0/8``."""
    from ipaddress import ip_address, ip_network

    try:
        address = ip_address(host)
    except ValueError:
        return False
    for name in no_proxy.split(","):
        with contextlib.suppress(ValueError):
            if address in ip_network(name.strip(), strict=False):
                return True
    return False


def proxy_login(proxy: str) -> dict[str, str]:
    """The header with user and password of a proxy, if it has any."""
    parts = urlsplit(proxy)
    if not parts.username:
        return {}
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    hide_login(unquote(parts.username), unquote(parts.password or ""))
    return {"Proxy-Authorization": "Basic " + b64encode(login.encode()).decode()}
