# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which operations there are. A module that registers some only has to be imported by the package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .server import StandIn
    from .web import Reply, Request

Parameters = Mapping[str, str]
Body = dict[str, Any]
Run = Callable[["StandIn", Parameters], Body]
Site = Callable[["StandIn", "Request"], "Reply"]
Recognises = Callable[["StandIn", "Request"], bool]


class GatewayError(Exception):
    """An answer of the API gateway other than HTTP 200."""

    def __init__(self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None, **more: Any):
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})
        self.more = more


@dataclass(frozen=True)
class Operation:
    action: str
    version: str
    product: str
    run: Run = field(repr=False)

    @property
    def permission(self) -> str:
        return f"{self.product}:{self.action}"


OPERATIONS: dict[str, Operation] = {}
SITES: list[tuple[Recognises, Site]] = []


def operation(action: str, *, version: str, product: str) -> Callable[[Run], Run]:
    """Make a function that takes the service and the parameters, and returns the answer's body, an operation."""

    def register(run: Run) -> Run:
        OPERATIONS[action] = Operation(action, version, product, run)
        return run

    return register


def site(recognises: Recognises) -> Callable[[Site], Site]:
    """Have a function answer the requests that it recognises, unless one registered later does."""

    def register(answer: Site) -> Site:
        SITES.insert(0, (recognises, answer))
        return answer

    return register


def site_of(service: StandIn, request: Request) -> Site:
    return next(answer for recognises, answer in SITES if recognises(service, request))
