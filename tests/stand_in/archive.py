# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What finished download tasks leave behind: small backups with all that is hard in them, the same for the same task."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Final

from exports import mongodb, mysql_tables, packing, postgresql_tables
from exports.packing import gz, zst

__all__ = ["FORMATS", "files", "gz", "pack", "tar", "zst"]

FORMATS: Final[dict[str, dict[str, Any]]] = {
    "csv": {"format": "csv"},
    "csv-with-header": {"format": "wh.csv"},
    # A statement with the value of a generated column is refused by MySQL.
    "sql": {"format": "sql", "generated": "structure"},
}
MAGIC: Final = {"parquet": b"PAR1", "qp.xb": b"XBSTCK01"}
"""How files begin that are not made here in full."""


def files(
    engine: str, databases: Sequence[str], format: str, dialect: Mapping[str, Any] | None = None
) -> Mapping[str, bytes]:
    """The files of a backup, by their names below its directory."""
    return _files(engine, tuple(databases), format.casefold(), tuple((dialect or {}).items()))


@functools.lru_cache(maxsize=100)
def _files(
    engine: str, databases: tuple[str, ...], format: str, dialect: tuple[tuple[str, Any], ...]
) -> Mapping[str, bytes]:
    if engine == "mongodb" or format == "bson":
        return mongodb.files(mongodb.collections(databases), root="")
    make = postgresql_tables.export if engine == "postgresql" else mysql_tables.export
    export = make(databases, **{**FORMATS.get(format, {"format": format}), **dict(dialect)})
    export.root = ""
    found = export.files()
    if format not in FORMATS:
        magic = MAGIC.get(format, b"")
        found.update({name: magic + bytes(8) + magic for name in found if "/data/" in name})
    return found


def _below(root: str, found: Mapping[str, bytes]) -> dict[str, bytes]:
    return {f"{root}/{name}": content for name, content in found.items()}


def tar(root: str, databases: Sequence[str], format: str, modified: float, engine: str = "mysql") -> bytes:
    return packing.tar(_below(root, files(engine, databases, format)), modified)


def pack(
    root: str,
    found: Mapping[str, bytes],
    modified: float,
    *,
    zstd: bool = False,
    tars: int = 2,
    order: str = "sorted",
) -> bytes:
    """The archive of a task."""
    kind = "tar.zst" if zstd else "tar.gz"
    return packing.pack(_below(root, found), kind, tars=tars, order=order, modified=modified)
