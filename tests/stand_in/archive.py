# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a finished download task leaves behind: a small archive of MySQL's shape, the same for the same task."""

from __future__ import annotations

import csv
import gzip
import io
import tarfile
from collections.abc import Iterator, Sequence
from typing import Final

TABLES: Final = ("customers", "orders")
COLUMNS: Final = ("id", "name", "note", "picture")
ROWS: Final = [
    ("1", "Zoë", 'says "hello, you"', "00ff10"),
    ("2", "李雷", "two\nlines", "deadbeef"),
    ("3", "🦊", "", ""),
]
STRUCTURE: Final = (
    "CREATE TABLE `{table}` (\n  `id` bigint NOT NULL,\n  `name` varchar(64) DEFAULT NULL,\n  `note` text,\n"
    "  `picture` varbinary(64) DEFAULT NULL,\n  PRIMARY KEY (`id`)\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;\n"
)
SUFFIXES: Final = {"csv": "csv", "csv-with-header": "wh.csv", "sql": "sql"}


def _csv(header: bool) -> str:
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([COLUMNS, *ROWS] if header else ROWS)
    return text.getvalue()


def _sql(table: str) -> str:
    def quoted(text: str) -> str:
        return "'" + text.replace("\n", "\\n") + "'"

    return "".join(
        f"INSERT INTO `{table}` VALUES ({key},{quoted(name)},{quoted(note)},0x{picture or '00'});\n"
        for key, name, note, picture in ROWS
    )


def _files(root: str, databases: Sequence[str], format: str) -> Iterator[tuple[str, str]]:
    suffix = SUFFIXES.get(format.casefold(), format.casefold())
    for database in databases:
        yield f"{root}/{database}/structure.sql", f"CREATE DATABASE `{database}` DEFAULT CHARACTER SET utf8mb4;\n"
        for table in TABLES:
            yield f"{root}/{database}/{table}/structure.sql", STRUCTURE.format(table=table)
            data = _sql(table) if suffix == "sql" else _csv(suffix == "wh.csv")
            yield f"{root}/{database}/{table}/data/0.{suffix}", data


def tar(root: str, databases: Sequence[str], format: str, modified: float) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, text in _files(root, databases, format):
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            entry.mtime = int(modified)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()


def gz(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def zst(data: bytes) -> bytes:
    """A Zstandard frame whose blocks are stored as they are."""
    frame = b"\x28\xb5\x2f\xfd" + b"\xa0" + len(data).to_bytes(4, "little")
    blocks = [data[start : start + 65536] for start in range(0, len(data), 65536)] or [b""]
    for block in blocks:
        last = block is blocks[-1]
        frame += (len(block) << 3 | last).to_bytes(3, "little") + block
    return frame
