# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in of the service: a real HTTP server that behaves as Alibaba Cloud DBS is documented to, traps included."""

from pathlib import Path

from . import dbs  # noqa: F401  registers its operations
from .faults import FAULTS, Fault
from .gateway import Call
from .model import ALL, LIFE_CYCLE, AccessKey, Instance, Task
from .server import Habits, StandIn

__all__ = [
    "ALL",
    "FAULTS",
    "LIFE_CYCLE",
    "AccessKey",
    "Call",
    "Fault",
    "Habits",
    "Instance",
    "StandIn",
    "Task",
    "sample",
]


def sample(action: str) -> bytes:
    """The answer that the service's documentation shows, byte for byte."""
    return (Path(__file__).parent / "samples" / f"{action}.json").read_bytes()
