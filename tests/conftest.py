# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lets the tests, and the commands that they run, find this checkout as the collection apsaradb.backup."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def collection_tree() -> Path:
    """A directory for ANSIBLE_COLLECTIONS_PATH in which the collection is a link to this checkout."""
    tree = ROOT / ".cache" / "collections"
    link = tree / "ansible_collections" / "apsaradb" / "backup"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        link.symlink_to(os.path.relpath(ROOT, link.parent), target_is_directory=True)
    return tree


def clean_environment() -> None:
    """Nothing of the machine's own credentials, proxies and configuration may reach a test, nor a test a real service."""
    for name in list(os.environ):
        if name.startswith(("ALIBABA_CLOUD_", "ALICLOUD_", "ANSIBLE_", "APSARADB_BACKUP_")) or name.lower().endswith(
            "_proxy"
        ):
            del os.environ[name]
    os.environ.pop("REQUESTS_CA_BUNDLE", None)
    os.environ.pop("CURL_CA_BUNDLE", None)
    os.environ["ALIBABA_CLOUD_ECS_METADATA_DISABLED"] = "true"
    os.environ["ANSIBLE_HOME"] = str(ROOT / ".cache" / "ansible")
    os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(ROOT / ".cache" / "hypothesis"))


sys.path.insert(0, str(collection_tree()))
clean_environment()


@pytest.fixture
def nobody() -> Iterator[str]:
    """The address of a port that refuses connections, and is nobody else's meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"
