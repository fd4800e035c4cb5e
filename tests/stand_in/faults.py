# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults on demand: what goes wrong, how often, and at which call."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Final

from .web import Reply

FAULTS: Final[dict[str, dict[str, Any]]] = {
    "reset": {"at": None},
    "truncated": {"executed": True, "at": None},
    "not_json": {"executed": True, "body": "pong"},
    "html": {"status": 502, "title": "502 Bad Gateway", "retry_after": None},
    "redirect": {"status": 302, "location": "/elsewhere"},
    "slow": {"seconds": 1.0},
    "slow_head": {"seconds": 1.0},
    "wrong_clock": {"offset": 3600.0},
    "error": {"status": 400, "code": "Fault", "message": "A fault was asked for.", "xml": False, "endpoint": None},
    "throttled": {
        "status": 400,
        "code": "Throttling.User",
        "message": "Request was denied due to user flow control.",
        "retry_after": 100,
    },
    "unavailable": {
        "status": 503,
        "code": "ServiceUnavailable",
        "message": "The request has failed due to a temporary failure of the server.",
    },
    "internal": {
        "status": 500,
        "code": "InternalError",
        "message": "The request processing has failed due to some unknown error.",
    },
    "nonce_used": {
        "status": 400,
        "code": "SignatureNonceUsed",
        "message": "Specified signature nonce was used already.",
    },
    "expired": {"status": 403, "code": "AccessDenied", "message": "Request has expired."},
    "stall": {"at": None, "seconds": 1.0},
    "crawl": {"rate": 1024.0},
    "flipped": {"at": None},
    "whole": {"at": None},
    "wrong_range": {"offset": 1},
    "changed": {},
}
"""Each kind with the details it takes. `executed`, which every kind takes, lets the operation run first.

A slow head comes one byte at a time, with so many seconds before each. `endpoint` is for errors of the storage.
`at` counts bytes of the answer's body; one that is shorter is hit at its last byte. Without it, a reset comes before any
answer, the rest in the middle; the whole object is broken off there only if it is given.
"""

AT_THE_STORAGE: Final = frozenset({"expired", "stall", "crawl", "flipped", "whole", "wrong_range", "changed"})
AT_THE_GATEWAY: Final = frozenset({"wrong_clock", "nonce_used"})
STORAGE_ACTIONS: Final = frozenset({"GetObject", "HeadObject", "ListObjectsV2"})

BEFORE_THE_GATEWAY: Final = frozenset({"reset", "html", "redirect", "not_json"})
"""Made by what stands between: unless executed, the gateway sees no such request, nor its nonce."""


class Fault:
    """`times` calls go wrong, once `after` of them were left alone.

    They are those of `action`. Without it they are any of the gateway's; for kinds that only the storage knows, GetObject.
    """

    def __init__(self, kind: str, times: int = 1, action: str | None = None, after: int = 0, **details: Any) -> None:
        if kind not in FAULTS:
            raise ValueError(f"unknown fault {kind!r}, known are {', '.join(FAULTS)}")
        if unknown := details.keys() - FAULTS[kind].keys() - {"executed"}:
            raise ValueError(f"a {kind!r} fault does not take {', '.join(sorted(unknown))}")
        if kind in AT_THE_STORAGE:
            action = action or "GetObject"
        if kind in (AT_THE_GATEWAY if action in STORAGE_ACTIONS else AT_THE_STORAGE):
            raise ValueError(f"a {kind!r} fault cannot happen to {action}")
        self.kind = kind
        self.times = times
        self.action = action
        self.after = after
        self.details: dict[str, Any] = {"executed": False, **FAULTS[kind], **details}

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["details"][name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def spares_the_gateway(self) -> bool:
        return self.kind in BEFORE_THE_GATEWAY and not self.executed

    def may_happen_to(self, action: str) -> bool:
        return action == self.action or (self.action is None and action not in STORAGE_ACTIONS)


def from_a_proxy(fault: Fault) -> Reply | None:
    """What the client gets from whatever stands between it and the service, if this is such a fault."""
    if fault.kind == "not_json":
        return Reply(body=fault.body.encode())
    if fault.kind == "html":
        page = f"<html><head><title>{fault.title}</title></head><body><h1>{fault.title}</h1></body></html>"
        headers = {"Server": "nginx"}
        if fault.retry_after is not None:
            headers["Retry-After"] = str(fault.retry_after)
        return Reply(fault.status, page.encode(), "text/html", headers)
    if fault.kind == "redirect":
        return Reply(fault.status, b"", "text/html", {"Location": fault.location})
    return None


@dataclass
class _Pending:
    fault: Fault
    after: int
    times: int


class FaultPlan:
    """Faults in the order they were asked for: one has its full number of calls before the next has its first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: list[_Pending] = []

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._pending.append(_Pending(fault, fault.after, fault.times))

    def clear(self) -> None:
        with self._lock:
            self._pending.clear()

    def take(self, action: str) -> Fault | None:
        """The fault of this call, if it has one."""
        with self._lock:
            for pending in self._pending:
                if not pending.fault.may_happen_to(action):
                    continue
                if pending.after > 0:
                    pending.after -= 1
                    return None
                pending.times -= 1
                if pending.times <= 0:
                    self._pending.remove(pending)
                return pending.fault
        return None
