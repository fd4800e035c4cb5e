# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
import http.client
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit

import pytest
from alibabacloud_dbs20210101 import models
from alibabacloud_dbs20210101.client import Client
from alibabacloud_tea_openapi.utils import Utils
from alibabacloud_tea_openapi.utils_models import Config
from darabonba.request import DaraRequest
from stand_in import AccessKey, StandIn

INSTANCE = "rm-bp1abc"


@pytest.fixture
def official(service: StandIn) -> Callable[..., Client]:
    """The official client, with the service's own key or another."""

    def client(key: AccessKey | None = None, secret: str | None = None) -> Client:
        key = key or service.key
        config = Config(
            access_key_id=key.id,
            access_key_secret=secret or key.secret,
            security_token=key.token,
            protocol="HTTP",
            endpoint=service.url.removeprefix("http://"),
            region_id="cn-hangzhou",
        )
        return Client(config)

    return client


@pytest.fixture
def describe(official: Callable[..., Client]) -> Callable[..., Any]:
    """DescribeDownloadTask through the official client: parameters in, the answer's body out."""
    client = official()

    def call(**parameters: Any) -> Any:
        parameters = {"region_code": "cn-hangzhou", "instance_name": INSTANCE, **parameters}
        return client.describe_download_task(models.DescribeDownloadTaskRequest(**parameters)).body

    return call


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)


class Raw:
    """Requests byte by byte, for what no official client would send. The official signer signs them."""

    query: ClassVar = {"RegionCode": "cn-hangzhou", "InstanceName": INSTANCE}

    def __init__(self, service: StandIn) -> None:
        self.service = service
        self.host = urlsplit(service.url).netloc

    def signed(
        self,
        action: str = "DescribeDownloadTask",
        *,
        clock: timedelta = timedelta(),
        method: str = "POST",
        query: dict[str, str] | None = None,
        body: bytes = b"",
        **headers: str | None,
    ) -> DaraRequest:
        """A request with its signature; `headers` (with _ for -) replace or, when None, take away."""
        request = DaraRequest()
        request.method, request.pathname = method, "/"
        request.query = self.query if query is None else query
        request.body = body
        wanted: dict[str, str | None] = {
            "host": self.host,
            "x-acs-action": action,
            "x-acs-version": "2021-01-01",
            "x-acs-date": (datetime.now(UTC) + clock).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "x-acs-signature-nonce": Utils.get_nonce(),
            "x-acs-content-sha256": hashlib.sha256(body).hexdigest(),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        request.headers = {name: value for name, value in wanted.items() if value is not None}
        key = self.service.key
        request.headers["Authorization"] = Utils.get_authorization(
            request, "ACS3-HMAC-SHA256", hashlib.sha256(body).hexdigest(), key.id, key.secret
        )
        return request

    def send(self, request: DaraRequest) -> Answer:
        connection = http.client.HTTPConnection(self.host)
        try:
            path = f"/?{urlencode(request.query)}"
            connection.request(request.method, path, request.body, request.headers)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.headers.items()), answer.read().decode())
        finally:
            connection.close()


@pytest.fixture
def raw(service: StandIn) -> Raw:
    """A service with one task, `dt-1`, to send requests to."""
    service.add_task(INSTANCE, task_id="dt-1")
    return Raw(service)
