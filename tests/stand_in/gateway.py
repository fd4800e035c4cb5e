# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API gateway: one RPC call from the request to the answer, its errors and the faults asked for."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from .authentication import authorize, missing
from .faults import Fault, from_a_proxy
from .registry import OPERATIONS, GatewayError, Operation, site
from .web import Cut, Reply, Request

if TYPE_CHECKING:
    from .server import StandIn

NOT_SHOWN: Final = {"AccessKeyId", "SecurityToken", "Signature"}


@dataclass
class Call:
    action: str
    params: dict[str, str]
    headers: dict[str, str] = field(repr=False)
    method: str
    connection: int
    at: float
    request_id: str
    status: int | None = None
    """None as long as it has no answer, and for good where the connection was reset."""
    code: str | None = None
    fault: str | None = None
    reply: Reply = field(default_factory=Reply, repr=False)

    def __str__(self) -> str:
        parameters = (f"{name}={value!r}" for name, value in self.params.items() if name not in NOT_SHOWN)
        outcome = f"{self.status or 'reset'} {self.code or ''} {f'({self.fault})' if self.fault else ''}"
        return " ".join([repr(self.action)[1:-1], *parameters, "->", *outcome.split()])


def parameters_of(request: Request) -> dict[str, str]:
    form = request.header("content-type").startswith("application/x-www-form-urlencoded")
    body = parse_qsl(request.body.decode(), keep_blank_values=True) if form else []
    return dict([*request.query, *body])


def to_xml(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        inner = "".join(to_xml(key, item) for key, item in value.items())
    elif isinstance(value, list):
        return "".join(to_xml(name, item) for item in value)
    else:
        inner = "" if value is None else escape(str(value))
    return f"<{name}>{inner}</{name}>"


class Exchange:
    """One request at the gateway."""

    def __init__(self, service: StandIn, request: Request) -> None:
        self._service = service
        self._request = request
        self.call = Call(
            action=request.header("x-acs-action"),
            params=parameters_of(request),
            headers={name.lower(): value for name, value in request.headers.items()},
            method=request.method,
            connection=request.connection,
            at=time.time(),
            request_id=str(uuid.uuid4()).upper(),
        )
        self._fault = service.faults.take(self.call.action)
        self._offset = service.clock_offset
        if self._fault:
            self.call.fault = self._fault.kind
            if self._fault.kind == "wrong_clock":
                self._offset = self._fault.offset
                self._fault = None

    def answer(self) -> Reply:
        fault = self._fault
        if fault and fault.spares_the_gateway:
            reply = self._broken(fault, Reply())
        else:
            try:
                reply = self._serve(fault)
            except GatewayError as error:
                reply = self._error_reply(error)
        reply.headers.setdefault("Date", formatdate(self._now(), usegmt=True))
        if fault and fault.kind == "slow_head":
            seconds = fault.seconds
            reply.pause = lambda: self._service.pause(seconds)
        if reply.content_type != "text/html" and self._service.habits.request_id_header:
            reply.headers["x-acs-request-id"] = self.call.request_id
        self.call.reply = reply
        self.call.status = None if reply.cut and reply.cut.after is None else reply.status
        return reply

    def _now(self) -> float:
        return time.time() + self._offset

    def _serve(self, fault: Fault | None) -> Reply:
        operation = self._operation()
        key = self._service.authenticator.check(self._request, self._now())
        if operation:
            authorize(key, operation, self._service.habits.denial)
        self._service.before_operation(self.call)
        if fault is None:
            return self._execute(operation)
        if fault.executed:
            return self._broken(fault, self._execute(operation))
        if fault.kind in ("slow", "slow_head"):
            if fault.kind == "slow":
                self._service.pause(fault.seconds)
            return self._execute(operation)
        return self._broken(fault, Reply())

    def _operation(self) -> Operation | None:
        """The operation asked for; none where only a canned answer is known."""
        action, version = self.call.action, self._request.header("x-acs-version")
        if self._request.method not in ("GET", "POST"):
            raise GatewayError(405, "UnsupportedHTTPMethod", "This http method is not supported.")
        if not action:
            raise missing("Action")
        if not version:
            raise missing("Version")
        operation = OPERATIONS.get(action)
        if operation is None and not self._service.has_canned(action):
            message = "Specified api is not found, please check your url and method."
            raise GatewayError(404, "InvalidAction.NotFound", message)
        if operation and operation.version != version:
            raise GatewayError(400, "InvalidVersion", "Specified parameter Version is not valid.")
        return operation

    def _execute(self, operation: Operation | None) -> Reply:
        canned = self._service.take_canned(self.call.action)
        if canned is not None:
            reply = Reply(body=canned)
            if canned.startswith(b"<?xml"):
                reply.content_type = "text/xml;charset=utf-8"
            return reply
        assert operation is not None  # else the canned answer was its last
        with self._service.account.lock:
            body = operation.run(self._service, self.call.params)
        self.call.code = body.get("Code")
        body = {"RequestId": self.call.request_id, **body}
        return self._reply(200, f"{operation.action}Response", body, self._wants_xml())

    def _wants_xml(self) -> bool:
        return "xml" in self._request.header("accept")

    def _reply(self, status: int, name: str, body: Mapping[str, Any], as_xml: bool) -> Reply:
        if as_xml:
            document = "<?xml version='1.0' encoding='UTF-8'?>" + to_xml(name, body)
            return Reply(status, document.encode(), "text/xml;charset=utf-8")
        return Reply(status, json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())

    def _error_reply(self, error: GatewayError, as_xml: bool = False) -> Reply:
        self.call.code = error.code
        body = {
            "Code": error.code,
            "Message": error.message,
            "RequestId": self.call.request_id,
            "HostId": self._request.header("host"),
            "Recommend": f"https://api.aliyun.com/troubleshoot?q={error.code}&requestId={self.call.request_id}",
            **error.more,
        }
        as_xml = as_xml or self._wants_xml() or self._service.habits.errors == "xml"
        reply = self._reply(error.status, "Error", body, as_xml)
        reply.headers.update(error.headers)
        return reply

    def _broken(self, fault: Fault, reply: Reply) -> Reply:
        """What the client gets in place of the reply."""
        if fault.kind == "reset":
            reply.cut = Cut(fault.at)
            return reply
        if fault.kind == "truncated":
            reply.cut = Cut(len(reply.body) // 2 if fault.at is None else fault.at, reset=False)
            return reply
        if fault.kind == "slow":
            self._service.pause(fault.seconds)
            return reply
        if page := from_a_proxy(fault):
            return page
        retry_after = fault.details.get("retry_after")
        headers = {} if retry_after is None else {"x-acs-retry-after": str(retry_after)}
        error = GatewayError(fault.status, fault.code, fault.message, headers=headers)
        return self._error_reply(error, as_xml=fault.details.get("xml", False))


@site(lambda service, request: True)
def gateway(service: StandIn, request: Request) -> Reply:
    service.pause(service.latency)
    exchange = Exchange(service, request)
    service.record(exchange.call)
    reply = exchange.answer()
    service.log(exchange.call)
    return reply
