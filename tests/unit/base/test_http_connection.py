# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which proxy the environment names for a host, and which certificates are trusted by default."""

from __future__ import annotations

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._base.errors import ConfigurationError
from ansible_collections.apsaradb.backup.plugins.module_utils._base.http_connection import proxy_of, tls_context
from ansible_collections.apsaradb.backup.plugins.module_utils._base.http_options import HttpOptions

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("host", "no_proxy", "is_used"),
    [
        ("dbs-api.cn-hangzhou.aliyuncs.com", "", True),
        ("dbs-api.cn-hangzhou.aliyuncs.com", "aliyuncs.com", False),
        ("dbs-api.cn-hangzhou.aliyuncs.com", "localhost,.aliyuncs.com", False),
        ("dbs-api.cn-hangzhou.aliyuncs.com", "10.0.0.0/8", True),
        ("dbs-api.cn-hangzhou.aliyuncs.com", "*", False),
        ("10.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "localhost, 10.1.2.0/24", False),
        ("10.1.2.3", "10.1.2.3", False),
        ("11.1.2.3", "10.0.0.0/8,nonsense/9", True),
        ("fd00::1", "fd00::/8", False),
        ("127.0.0.1", "", False),
        ("::1", "", False),
        ("localhost", "", False),
    ],
)
def test_whether_a_proxy_is_used(host: str, no_proxy: str, is_used: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert proxy_of("https", host) == (PROXY if is_used else "")
    assert proxy_of("http", host) == ""


@pytest.mark.parametrize(
    ("variable", "value", "proxy"),
    [("ALL_PROXY", PROXY, PROXY), ("https_proxy", "proxy.example:3128", PROXY), ("HTTPS_PROXY", "", "")],
)
def test_how_a_proxy_is_named(variable: str, value: str, proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    assert proxy_of("https", "bucket.example") == proxy


@pytest.mark.parametrize("proxy", ["socks5://proxy.example:1080", "https://proxy.example"])
def test_a_proxy_that_cannot_be_used(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(ConfigurationError, match="not one that begins with http://"):
        proxy_of("https", "bucket.example")


def test_a_system_without_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/proc/none")
    monkeypatch.setenv("SSL_CERT_DIR", "/proc/none")
    # Of options that no other test has, as contexts are kept.
    context = tls_context(HttpOptions(connect_timeout=11.0))
    assert context.cert_store_stats()["x509_ca"] > 0
