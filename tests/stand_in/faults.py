# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults on demand: what goes wrong, how often, and at which call."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Final

FAULTS: Final[dict[str, dict[str, Any]]] = {
    "reset": {},
    "truncated": {"executed": True},
    "not_json": {"executed": True, "body": "pong"},
    "html": {"status": 502, "title": "502 Bad Gateway"},
    "redirect": {"status": 302, "location": "/elsewhere"},
    "slow": {"seconds": 1.0},
    "wrong_clock": {"offset": 3600.0},
    "error": {"status": 400, "code": "Fault", "message": "A fault was asked for.", "xml": False},
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
}
"""Each kind with the details it takes. `executed`, which every kind takes, lets the operation run first."""

BEFORE_THE_GATEWAY: Final = frozenset({"reset", "html", "redirect", "not_json"})
"""Made by what stands between: unless executed, the gateway sees no such request, nor its nonce."""


class Fault:
    """`times` calls (of `action`, if given) go wrong, once `after` of them were left alone."""

    def __init__(self, kind: str, times: int = 1, action: str | None = None, after: int = 0, **details: Any) -> None:
        if kind not in FAULTS:
            raise ValueError(f"unknown fault {kind!r}, known are {', '.join(FAULTS)}")
        if unknown := details.keys() - FAULTS[kind].keys() - {"executed"}:
            raise ValueError(f"a {kind!r} fault does not take {', '.join(sorted(unknown))}")
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

    def take(self, action: str | None) -> Fault | None:
        """The fault of this call, if it has one."""
        with self._lock:
            for pending in self._pending:
                if pending.fault.action not in (None, action):
                    continue
                if pending.after > 0:
                    pending.after -= 1
                    return None
                pending.times -= 1
                if pending.times <= 0:
                    self._pending.remove(pending)
                return pending.fault
        return None
