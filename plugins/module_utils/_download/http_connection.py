# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""A connection of ``http.client`` to the server of a link: the proxy for it, the certificates that are trusted, and the headers."""

from __future__ import annotations

import functools
import http.client
import os
import ssl
import typing as t
from base64 import b64encode
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from .._base.deadline import TimedResponse
from .._base.errors import ConfigurationError
from .._base.http_options import HttpOptions
from .._base.text import hide_login
from .._base.version import VERSION
from .link import Link
from .object_info import ObjectInfo


def new_connection(
    link: Link, options: HttpOptions
) -> http.client.HTTPConnection:
    """A connection that is not opened yet. Raises ConfigurationError."""
    host, port = link.host, link.port
    proxy = proxy_of(link)
    if proxy:
        address = urlsplit(proxy)
        host = address.hostname or ""
        port = address.port or 80
    connection: http.client.HTTPConnection
    if link.scheme == "https":
        connection = http.client.HTTPSConnection(
            host,
            port,
            timeout=options.connect_timeout,
            context=tls_context(options),
        )
        if proxy:
            connection.set_tunnel(
                link.host, link.port, headers=proxy_login(proxy)
            )
    else:
        connection = http.client.HTTPConnection(
            host, port, timeout=options.connect_timeout
        )
    connection.response_class = TimedResponse
    return connection


# Cached, as loading the certificates of the system costs more than a request, and each connection needs them.
@functools.lru_cache(maxsize=4)
def tls_context(options: HttpOptions) -> ssl.SSLContext:
    """The context of TLS for these options. Raises ConfigurationError if ca_path cannot be read."""
    ca_path = options.ca_path
    try:
        if ca_path and os.path.isdir(ca_path):
            context = ssl.create_default_context(capath=ca_path)
        else:
            context = ssl.create_default_context(cafile=ca_path)
    except OSError as error:
        raise ConfigurationError(
            f"ca_path {ca_path!r} cannot be read: {error}."
        ) from None
    if not options.validate_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def proxy_of(link: Link) -> str:
    """The proxy for a link by the environment; empty for none, as for loopback addresses."""
    if (
        link.host == "localhost"
        or link.host.startswith("127.")
        or link.host == "::1"
    ):
        return ""
    proxies = getproxies()
    proxy = proxies.get(link.scheme) or proxies.get("all") or ""
    if not proxy or proxy_bypass(link.host):
        return ""
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    if not proxy.lower().startswith("http://"):
        raise ConfigurationError(
            f"the proxy for {link.host} does not begin with http://: other proxies are not supported."
        )
    return proxy


def proxy_login(proxy: str) -> dict[str, str]:
    """The header with user and password of a proxy, if it has any."""
    parts = urlsplit(proxy)
    if not parts.username:
        return {}
    user = unquote(parts.username)
    password = unquote(parts.password or "")
    hide_login(user, password)
    return {"Proxy-Authorization": basic_authorization(f"{user}:{password}")}


def headers_of(
    link: Link, byte_range: str, info: t.Optional[ObjectInfo]
) -> dict[str, str]:
    """The headers of a request. ``info``: the object that the bytes have to be of."""
    headers = {
        "Host": link.authority,
        "Accept-Encoding": "identity",
        "User-Agent": f"apsaradb.backup/{VERSION}",
    }
    if byte_range:
        headers["Range"] = byte_range
    # Both may be added: a link signs only headers that begin with x-oss-.
    if info and info.strong_etag:
        headers["If-Match"] = info.strong_etag
    elif info and info.last_modified:
        headers["If-Unmodified-Since"] = info.last_modified
    if link.login:
        headers["Authorization"] = basic_authorization(unquote(link.login))
    return headers


def basic_authorization(login: str) -> str:
    """The value of a header with a user, a colon and a password."""
    return "Basic " + b64encode(login.encode()).decode()
