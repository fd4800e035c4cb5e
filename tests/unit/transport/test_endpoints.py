# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from alibabacloud_dbs20210101.client import Client as OfficialClient
from alibabacloud_tea_openapi.utils_models import Config
from ansible_collections.apsaradb.backup.plugins.module_utils._base.errors import ConfigurationError
from ansible_collections.apsaradb.backup.plugins.module_utils._dbs.service import DBS
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.endpoints import REGIONS, base_url


def test_the_map_of_the_official_client() -> None:
    official: dict[str, str] = OfficialClient(
        Config(access_key_id="i", access_key_secret="s", region_id="cn-hangzhou")
    )._endpoint_map
    assert {region: base_url(DBS, region) for region in official} == {
        region: f"https://{host}" for region, host in official.items()
    }


@pytest.mark.parametrize(
    ("region", "network", "host"),
    [
        ("cn-beijing", "public", "dbs-api.cn-hangzhou.aliyuncs.com"),
        ("cn-chengdu", "public", "dbs-api.cn-chengdu.aliyuncs.com"),
        ("cn-wulanchabu", "public", "dbs-api.cn-wulanchabu.aliyuncs.com"),
        ("cn-beijing", "vpc", "dbs-api-vpc.cn-beijing.aliyuncs.com"),
        ("eu-central-1", "vpc", "dbs-api-vpc.eu-central-1.aliyuncs.com"),
    ],
)
def test_map_and_rule(region: str, network: str, host: str) -> None:
    assert base_url(DBS, region, network=network) == f"https://{host}"


def test_every_region_has_a_host_in_every_network() -> None:
    for region in REGIONS:
        assert base_url(DBS, region, network="public").startswith("https://dbs-api.")
        assert base_url(DBS, region, network="vpc") == f"https://dbs-api-vpc.{region}.aliyuncs.com"


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("dbs-api.cn-hangzhou.aliyuncs.com", "https://dbs-api.cn-hangzhou.aliyuncs.com"),
        ("https://dbs-api.cn-hangzhou.aliyuncs.com/", "https://dbs-api.cn-hangzhou.aliyuncs.com"),
        ("https://gateway.internal:8443", "https://gateway.internal:8443"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.8.9.1:8000", "http://127.8.9.1:8000"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_an_endpoint_wins(endpoint: str, url: str) -> None:
    assert base_url(DBS, "xx-anywhere-1", endpoint=endpoint) == url


@pytest.mark.parametrize(
    ("endpoint", "complaint"),
    [
        ("http://dbs-api.cn-hangzhou.aliyuncs.com", "is not encrypted"),
        ("http://10.0.0.1", "is not encrypted"),
        ("http://localhost.example", "is not encrypted"),
        ("ftp://127.0.0.1", "is not an address"),
        ("https://", "is not an address"),
        ("https://host:port", "is not an address"),
        ("a host", "is not an address"),
        ("https://user:password@host", "leave out user, path and query"),
        ("https://host/path", "leave out user, path and query"),
        ("https://host?key=value", "leave out user, path and query"),
    ],
)
def test_an_endpoint_that_is_refused(endpoint: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        base_url(DBS, "cn-hangzhou", endpoint=endpoint)
    assert "password" not in str(caught.value)


def test_an_unknown_region() -> None:
    with pytest.raises(ConfigurationError) as caught:
        base_url(DBS, "cn-hangzou")
    assert "region 'cn-hangzou' is not known (did you mean cn-hangzhou" in str(caught.value)
    assert "set endpoint" in str(caught.value)
