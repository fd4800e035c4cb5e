# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Security Token Service, as far as AssumeRole, which gives a temporary key to who has a key."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from .registry import site
from .web import Reply, Request

if TYPE_CHECKING:
    from .server import StandIn

TOKEN = "CAISassumed+role/token=="


def recognises(service: StandIn, request: Request) -> bool:
    return request.header("host").startswith("sts.")


@site(recognises)
def assume_role(service: StandIn, request: Request) -> Reply:
    query = dict(request.query)
    service.roles.append(query.get("RoleArn", ""))
    if query.get("AccessKeyId") != service.key.id:
        body = {
            "Code": "InvalidAccessKeyId.NotFound",
            "Message": "Specified access key is not found.",
            "RequestId": "7",
        }
        return Reply(404, json.dumps(body).encode())
    key = service.add_key(token=TOKEN, expires_in=3600)
    expiration = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    credentials = {
        "AccessKeyId": key.id,
        "AccessKeySecret": key.secret,
        "SecurityToken": key.token,
        "Expiration": expiration,
    }
    return Reply(body=json.dumps({"RequestId": "7", "Credentials": credentials}).encode())
