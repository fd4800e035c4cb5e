# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backups of MongoDB: documents as BSON, in parts, with the metadata beside them."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

Document = Mapping[str, Any]
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class ObjectId(bytes):
    """Twelve bytes."""


def encode(document: Document) -> bytes:
    """A document as BSON."""
    body = b"".join(_element(key, value) for key, value in document.items())
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def _element(key: str, value: Any) -> bytes:
    kind, data = _value(value)
    return bytes([kind]) + key.encode() + b"\0" + data


def _value(value: Any) -> tuple[int, bytes]:
    """The number of its type, and its bytes."""
    if value is None:
        return 0x0A, b""
    if isinstance(value, bool):
        return 0x08, bytes([value])
    if isinstance(value, int):
        return (0x10, struct.pack("<i", value)) if -(2**31) <= value < 2**31 else (0x12, struct.pack("<q", value))
    if isinstance(value, datetime):
        milliseconds = round((value - EPOCH).total_seconds() * 1000)
        return 0x09, struct.pack("<q", milliseconds)
    return _long_value(value)


def _long_value(value: Any) -> tuple[int, bytes]:
    if isinstance(value, float):
        return 0x01, struct.pack("<d", value)
    if isinstance(value, str):
        text = value.encode() + b"\0"
        return 0x02, struct.pack("<i", len(text)) + text
    if isinstance(value, Mapping):
        return 0x03, encode(value)
    if isinstance(value, list):
        return 0x04, encode({str(number): one for number, one in enumerate(value)})
    if isinstance(value, ObjectId):
        return 0x07, bytes(value)
    if isinstance(value, bytes):
        return 0x05, struct.pack("<i", len(value)) + b"\0" + value
    raise TypeError(f"BSON has no {type(value).__name__} here")


@dataclass
class Collection:
    database: str
    name: str
    documents: list[Document]
    parts: Sequence[tuple[int, int]] = ((0, 0),)
    """The two numbers in the name of each file, in the order of the documents."""
    indexes: list[Document] = field(default_factory=list)

    def metadata(self) -> bytes:
        primary = {"v": 2, "key": {"_id": 1}, "name": "_id_"}
        uuid = f"{zlib.crc32(f'{self.database}.{self.name}'.encode()):032x}"
        found = {
            "options": {},
            "indexes": [primary, *self.indexes],
            "uuid": uuid,
            "collectionName": self.name,
            "type": "collection",
        }
        return json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode()

    def files(self) -> dict[str, bytes]:
        """By their names below the directory of the collection."""
        size = max(1, -(-len(self.documents) // len(self.parts)))
        found = {f"{self.name}.metadata.json": self.metadata()}
        for place, (first, second) in enumerate(self.parts):
            share = self.documents[size * place : size * (place + 1)]
            found[f"data/{self.name}_{first}_part{second}.bson"] = b"".join(map(encode, share))
        return found


def files(collections: Sequence[Collection], root: str = "dt-export") -> dict[str, bytes]:
    """The content of each file of a backup."""
    found = {}
    for collection in collections:
        place = "/".join(filter(None, (root, collection.database, collection.name)))
        found.update({f"{place}/{name}": content for name, content in collection.files().items()})
    return found


def collections(databases: Sequence[str] = ("shop",)) -> list[Collection]:
    """The same collections in each database: one in many parts, one with all types, an empty one."""
    parts = [(first, second) for first in range(2) for second in range(11)]
    found = []
    for database in databases:
        found += [
            Collection(database, "events", [_event(number) for number in range(1, 111)], parts, [_BY_TIME]),
            Collection(database, "edge cases & 漢字's", [_everything()]),
            Collection(database, "events_0_part1", [{"_id": 1, "note": "a name like that of a part"}]),
            Collection(database, "empty", []),
        ]
    return found


_BY_TIME: Document = {"v": 2, "key": {"at": -1, "user.id": 1}, "name": "at_-1_user.id_1"}


def _event(number: int) -> Document:
    return {
        "_id": ObjectId(number.to_bytes(12, "big")),
        "at": datetime(2024, 1, 1, 0, 0, number % 60, tzinfo=timezone.utc),
        "user": {"id": number % 7, "name": f"李雷 {number}"},
        "tags": ["🚀", None, number % 2 == 0],
    }


def _everything() -> Document:
    return {
        "_id": "é\0漢字",
        "empty": "",
        "null": None,
        "double": -0.5,
        "int": -1,
        "long": 2**63 - 1,
        "bytes": b"\x00\xff",
        "list": [],
        "nested": {"a b": {"$c.d": [1, [2]]}},
        "before 1970": datetime(1901, 2, 3, tzinfo=timezone.utc),
    }
