# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backups as the service makes them: tables as data first, then files, then archives; and what has to come out of them.

from exports import mysql_tables, pack, unpack

export = mysql_tables.export(["shop"], null="NULL", quoting="needed")
export.database("shop").table("orders").rows[3] = (...)  # damage a value
files = export.files()  # {"dt-export/shop/orders/data/0.csv": b"...", ...}; damage a file
archive = pack(files, "tar.zst", tars=3, order="data first")  # or unpack(files, directory)
facts = export.facts("orders")  # its rows as values of the database, and the rows and bytes of each file

Backups for benchmarks, of any size, are written to a disk without being held in memory:

    from exports import large, pack_tree

    manifest = large.export("postgresql", rows=2_000_000, parts=8, small_tables=200).write(directory)
    pack_tree(directory, archive)
"""

from . import large, mongodb, mysql, mysql_tables, postgresql, postgresql_tables
from .layout import Export, FileFacts, TableFacts
from .model import Column, Database, Dialect, Row, Table, Value
from .packing import ordered, pack, pack_tree, tar, unpack

__all__ = [
    "Column",
    "Database",
    "Dialect",
    "Export",
    "FileFacts",
    "Row",
    "Table",
    "TableFacts",
    "Value",
    "large",
    "mongodb",
    "mysql",
    "mysql_tables",
    "ordered",
    "pack",
    "pack_tree",
    "postgresql",
    "postgresql_tables",
    "tar",
    "unpack",
]
