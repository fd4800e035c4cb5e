# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The signature version 3 of Alibaba Cloud's OpenAPI gateways: ACS3-HMAC-SHA256.

Source: "Request syntax and signature method V3" of the Alibaba Cloud SDK documentation.
"""

from __future__ import annotations

import hashlib
import hmac
import typing as t
from urllib.parse import parse_qsl, quote, urlsplit

from .._base.requests_import import AuthBase

if t.TYPE_CHECKING:
    from requests import PreparedRequest

    from .credential import Credential


ALGORITHM = "ACS3-HMAC-SHA256"


def canonical_query(parameters: t.Mapping[str, str]) -> str:
    """The query string in the one form that both sides sign: sorted, percent-encoded after RFC 3986."""
    return "&".join(
        f"{quote(key, safe='~')}={quote(value, safe='~')}"
        for key, value in sorted(parameters.items())
    )


def authorization(
    *,
    method: str,
    path: str,
    query: t.Mapping[str, str],
    headers: t.Mapping[str, str],
    key_id: str,
    key_secret: str,
) -> str:
    """The value of the Authorization header.

    ``headers`` are those to be signed, and must hold ``x-acs-content-sha256``, the hex SHA-256 of the body.
    """
    # As the service reads them: names in lower case and in order, values without blanks around.
    signed = {name.lower(): value.strip() for name, value in headers.items()}
    names = ";".join(sorted(signed))
    canonical_request = "\n".join(
        (
            method,
            path,
            canonical_query(query),
            "".join(f"{name}:{signed[name]}\n" for name in sorted(signed)),
            names,
            signed["x-acs-content-sha256"],
        )
    )
    string_to_sign = (
        f"{ALGORITHM}\n{hashlib.sha256(canonical_request.encode()).hexdigest()}"
    )
    signature = hmac.new(
        key_secret.encode(), string_to_sign.encode(), hashlib.sha256
    ).hexdigest()
    return f"{ALGORITHM} Credential={key_id},SignedHeaders={names},Signature={signature}"


class Acs3Auth(AuthBase):
    """Signs one request of one call; a repeated request needs a new nonce, and so a new instance.

    Being an ``auth=`` of requests it also keeps ``~/.netrc`` from replacing the Authorization header.
    """

    def __init__(
        self,
        credential: Credential,
        *,
        action: str,
        version: str,
        date: str,
        nonce: str,
    ) -> None:
        self._credential = credential
        self._headers = {
            "x-acs-action": action,
            "x-acs-version": version,
            "x-acs-date": date,
            "x-acs-signature-nonce": nonce,
        }

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        body = request.body or b""
        url = urlsplit(t.cast(str, request.url))
        headers = dict(
            self._headers,
            host=url.netloc,
            **{
                "x-acs-content-sha256": hashlib.sha256(
                    body if isinstance(body, bytes) else body.encode()
                ).hexdigest()
            },
        )
        # A temporary key is given beside its token, and both are signed.
        if self._credential.security_token:
            headers["x-acs-accesskey-id"] = self._credential.access_key_id
            headers["x-acs-security-token"] = self._credential.security_token
        request.headers.update(headers)
        request.headers["Authorization"] = authorization(
            method=t.cast(str, request.method),
            path=url.path or "/",
            # Parameters without a value are signed as well.
            query=dict(parse_qsl(url.query, keep_blank_values=True)),
            headers=headers,
            key_id=self._credential.access_key_id,
            key_secret=self._credential.access_key_secret,
        )
        return request
