# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""A link to an object, and the part of it that can be shown."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, urlsplit

from .._base.errors import ConfigurationError
from .._base.text import hide_link

#: The schemes that a link can have, with the port of each.
_PORTS = {"http": 80, "https": 443}

#: Letters of path and query that are sent as they are: RFC 3986, what browsers leave alone, and what is encoded already.
_ALLOWED = "%/?:@!$&'()*+,;=~[]|"


class Link:
    """The signed address of an object. Whoever has it can read the object, so it is never shown."""

    def __init__(self, url: str) -> None:
        url = url.strip()
        try:
            parts = urlsplit(url)
        except ValueError:
            raise ConfigurationError(
                "url is malformed: it has no valid host."
            ) from None
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ConfigurationError(
                "url is malformed: give an address that begins with http:// or https://."
            )
        if not re.fullmatch(r"[!-~]+", parts.netloc):
            raise ConfigurationError(
                "url is malformed: its host has a space, or a letter that is not ASCII."
            )
        try:
            self.port = parts.port or _PORTS[parts.scheme]
        except ValueError:
            raise ConfigurationError(
                "url is malformed: its port is not a number up to 65535."
            ) from None
        hide_link(url)
        self.url = url
        self.scheme = parts.scheme
        self.host: str = parts.hostname
        self.login, _unused, self.authority = parts.netloc.rpartition("@")
        target = parts.path or "/"
        if parts.query:
            target += f"?{parts.query}"
        # Encodes what is neither allowed there nor encoded already, as a browser does it.
        self.target = quote(target, safe=_ALLOWED)
        self.path = unquote(parts.path)

    @property
    def printable(self) -> str:
        """Host and path for messages. Without the scheme: an address would be masked as if it were the secret."""
        return f"{self.authority}{self.path}"

    @property
    def server(self) -> tuple[str, str, int]:
        """Scheme, host and port: connections to the same ones can be shared."""
        return self.scheme, self.host, self.port
