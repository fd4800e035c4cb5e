# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in of the service: a real HTTP server that behaves as Alibaba Cloud DBS is documented to, traps included."""

from pathlib import Path

from . import backups, dbs, dbs_create, dbs_location, storage, sts  # noqa: F401  they register what they answer
from .faults import FAULTS, Fault
from .gateway import Call
from .model import ALL, LIFE_CYCLE, AccessKey, Backup, Instance, Task
from .objects import StoredObject
from .server import Habits, StandIn
from .storage import Transfer

__all__ = [
    "ALL",
    "FAULTS",
    "LIFE_CYCLE",
    "AccessKey",
    "Backup",
    "Call",
    "Fault",
    "Habits",
    "Instance",
    "StandIn",
    "StoredObject",
    "Task",
    "Transfer",
    "sample",
]


def sample(action: str) -> bytes:
    """The answer that the service's documentation shows, byte for byte."""
    return (Path(__file__).parent / "samples" / f"{action}.json").read_bytes()
