# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import requests
from alibabacloud_tea_openapi.utils import Utils
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.credential import Credential
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.signing import (
    Acs3Auth,
    authorization,
    canonical_query,
)
from darabonba.request import DaraRequest
from hypothesis import given
from hypothesis import strategies as st

EMPTY_BODY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_the_vector_of_the_documentation() -> None:
    value = authorization(
        method="POST",
        path="/",
        query={
            "ImageId": "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd",
            "RegionId": "cn-shanghai",
        },
        headers={
            "host": "ecs.cn-shanghai.aliyuncs.com",
            "x-acs-action": "RunInstances",
            "x-acs-content-sha256": EMPTY_BODY,
            "x-acs-date": "2023-10-26T10:22:32Z",
            "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
            "x-acs-version": "2014-05-26",
        },
        key_id="YourAccessKeyId",
        key_secret="YourAccessKeySecret",
    )
    assert value == (
        "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,"
        "SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,"
        "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    )


def official(request: requests.PreparedRequest, credential: Credential) -> str:
    """What the official SDK's signer makes of the same request."""
    url = urlsplit(str(request.url))
    same = DaraRequest()
    same.method = str(request.method)
    same.pathname = url.path
    same.query = dict(parse_qsl(url.query, keep_blank_values=True))
    same.headers = {
        name.lower(): value
        for name, value in request.headers.items()
        if name.lower() == "host" or name.lower().startswith("x-acs-")
    }
    signature: str = Utils.get_authorization(
        same, "ACS3-HMAC-SHA256", EMPTY_BODY, credential.access_key_id, credential.access_key_secret
    )
    return signature


text = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=30) | st.text(
    "+/~*% &=?#;:'\"", max_size=12
)
names = st.text("ABCDEFGHabcdefgh0123.~-_", min_size=1, max_size=12)  # the official signer does not encode names
keys = st.text("ABCdef012", min_size=1, max_size=20)


@given(
    query=st.dictionaries(names, text, max_size=8), key_id=keys, key_secret=text.filter(bool), token=st.none() | keys
)
def test_the_official_signer_signs_alike(
    query: dict[str, str], key_id: str, key_secret: str, token: str | None
) -> None:
    credential = Credential(key_id, key_secret, token or "")
    auth = Acs3Auth(
        credential, action="DescribeDownloadTask", version="2021-01-01", date="2026-01-31T00:00:00Z", nonce="0123"
    )
    url = f"https://dbs-api.cn-hangzhou.aliyuncs.com/?{canonical_query(query)}"
    request = requests.Session().prepare_request(requests.Request("POST", url, auth=auth))

    assert dict(parse_qsl(urlsplit(str(request.url)).query, keep_blank_values=True)) == query
    assert request.headers["Authorization"] == official(request, credential)
    assert ("x-acs-security-token" in request.headers["Authorization"]) == bool(token)
