# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects in buckets. They are bytes, files, or made up from a size; none but the first is held in memory."""

from __future__ import annotations

import functools
import hashlib
import os
import random
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from .crc64 import crc64

CHUNK: Final = 1 << 20
PART: Final = 100 << 20


class Content(Protocol):
    size: int

    def read(self, start: int, stop: int) -> bytes:
        """From one byte up to another."""

    def identity(self) -> bytes:
        """Differs where the content does."""


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        self._data = data

    def read(self, start: int, stop: int) -> bytes:
        return self._data[start:stop]

    def identity(self) -> bytes:
        return self._data


class _File:
    def __init__(self, path: Path) -> None:
        status = path.stat()
        self.size = status.st_size
        self._path = path
        self._identity = f"{path} {status.st_mtime_ns} {self.size}"

    def read(self, start: int, stop: int) -> bytes:
        with self._path.open("rb", buffering=0) as file:
            return os.pread(file.fileno(), stop - start, start)

    def identity(self) -> bytes:
        return self._identity.encode()


class _MadeUp:
    """Random blocks, each with its own number, so that no two ranges are alike."""

    def __init__(self, size: int, seed: str) -> None:
        self.size = size
        self._seed = seed
        self._block = random.Random(seed).randbytes(CHUNK - 8)

    def read(self, start: int, stop: int) -> bytes:
        first, last = start // CHUNK, -(-stop // CHUNK)
        blocks = b"".join(part for number in range(first, last) for part in (number.to_bytes(8, "big"), self._block))
        return blocks[start - first * CHUNK : stop - first * CHUNK]

    def identity(self) -> bytes:
        return f"{self._seed} {self.size}".encode()


@functools.lru_cache(maxsize=2)  # tests put the same bytes into many services, each time after a small archive
def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest().upper()


class StoredObject:
    def __init__(self, content: Content) -> None:
        self._content = content
        self.size = content.size
        self.modified = time.time()
        digest = _md5(content.identity())
        parts = -(-self.size // PART)
        self.etag = f'"{digest}"' if isinstance(content, _Bytes) else f'"{digest}-{parts}"'
        self.version = f"CAEQ{uuid.uuid4().hex}"
        self.crc64 = 0
        for chunk in self.chunks(0, self.size):
            self.crc64 = crc64(chunk, self.crc64)

    def chunks(self, start: int, stop: int, step: int = CHUNK) -> Iterator[bytes]:
        while start < stop:
            chunk = self.chunk(start, stop, step)
            yield chunk
            start += len(chunk)

    def chunk(self, start: int, stop: int, step: int = CHUNK) -> bytes:
        """The first of those chunks."""
        return self._content.read(start, min(stop, (start // step + 1) * step))

    def read(self) -> bytes:
        return self._content.read(0, self.size)


class Objects:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: dict[str, dict[str, StoredObject]] = {}
        self._changes = 0

    def add_bucket(self, bucket: str) -> None:
        with self._lock:
            self._buckets.setdefault(bucket, {})

    def has_bucket(self, bucket: str) -> bool:
        return bucket in self._buckets

    def put(self, bucket: str, key: str, content: bytes | int | Path, seed: str = "") -> StoredObject:
        """Make or replace an object: these bytes, that many bytes which only the seed decides, or what the file has."""
        if isinstance(content, bytes):
            stored = StoredObject(_Bytes(content))
        elif isinstance(content, int):
            stored = StoredObject(_MadeUp(content, seed))
        else:
            stored = StoredObject(_File(content))
        self.add_bucket(bucket)
        with self._lock:
            self._buckets[bucket][key] = stored
        return stored

    def change(self, bucket: str, key: str) -> StoredObject:
        """Replace an object by another of its size."""
        with self._lock:
            self._changes += 1
            seed = f"change {self._changes}"
        return self.put(bucket, key, self._buckets[bucket][key].size, seed)

    def get(self, bucket: str, key: str) -> StoredObject | None:
        return self._buckets.get(bucket, {}).get(key)

    def delete(self, bucket: str, key: str) -> None:
        with self._lock:
            self._buckets.get(bucket, {}).pop(key, None)

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        with self._lock:
            return sorted(key for key in self._buckets.get(bucket, {}) if key.startswith(prefix))
