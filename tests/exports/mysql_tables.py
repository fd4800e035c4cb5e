# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables of MySQL with all that is hard in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import mysql
from .layout import Export
from .model import Column, Database, Table, Value
from .records import JSONS, TEXTS, customers, edge_cases, orders


def export(databases: Sequence[str] = ("shop",), **dialect: Any) -> Export:
    """The same tables in each database."""
    made = Export("mysql", [Database(name, tables()) for name in databases], mysql.DEFAULTS)
    return made.with_dialect(**dialect)


def tables() -> list[Table]:
    return [
        _orders(),
        _customers(),
        _edge_cases(),
        _types(),
        _zero_dates(),
        *_generated(),
        *_keys(),
        *_names(),
        *_empty(),
        _one_column(),
    ]


def _orders() -> Table:
    return Table(
        "orders",
        [
            Column("id", "bigint", "NOT NULL AUTO_INCREMENT"),
            Column("customer_id", "int", "NOT NULL"),
            Column("order_no", "varchar(32)", "NOT NULL"),
            Column("status", "enum('new','paid','shipped')", "NOT NULL DEFAULT 'new'"),
            Column("amount", "decimal(18,2)", "NOT NULL"),
            Column("created_at", "datetime", "NOT NULL"),
            Column("note", "varchar(255)", "DEFAULT NULL COMMENT 'for the parcel; it''s \"free\" text, (any)'"),
        ],
        orders(),
        parts=12,
        keys=[
            "PRIMARY KEY (`id`)",
            "UNIQUE KEY `order_no` (`order_no`)",
            "KEY `customer` (`customer_id`,`created_at`)",
            "KEY `note` (`note`(10))",
        ],
        options="ENGINE=InnoDB AUTO_INCREMENT=101 DEFAULT CHARSET=utf8mb4 COMMENT='what people bought'",
    )


def _customers() -> Table:
    return Table(
        "customers",
        [
            Column("id", "int", "NOT NULL AUTO_INCREMENT"),
            Column("name", "varchar(64)", "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL"),
            Column("email", "varchar(64)", "DEFAULT NULL"),
        ],
        customers(),
        parts=2,
        keys=["PRIMARY KEY (`id`)", "UNIQUE KEY `email` (`email`)"],
    )


def _edge_cases() -> Table:
    return Table(
        "edge cases & 漢字's",
        [
            Column("id", "int", "NOT NULL"),
            Column('text, "quoted"', "text"),
            Column("bytes", "blob"),
            Column("number", "decimal(18,4)", "DEFAULT NULL"),
            Column("moment", "datetime(6)", "DEFAULT NULL"),
            Column("json", "json", "DEFAULT NULL"),
        ],
        edge_cases(),
        parts=3,
        keys=["PRIMARY KEY (`id`)"],
    )


def _types() -> Table:
    """BIT is bytes here, as drivers return it."""
    columns = [
        Column("id", "int unsigned", "NOT NULL"),
        Column("flag", "bit(1)", "DEFAULT NULL"),
        Column("flags", "bit(10)", "DEFAULT NULL"),
        Column("stamp", "timestamp", "NULL DEFAULT NULL"),
        Column("day", "date", "DEFAULT NULL"),
        Column("span", "time(3)", "DEFAULT NULL"),
        Column("year", "year", "DEFAULT NULL"),
        Column("state", "enum('a','it''s','漢字','')", "DEFAULT NULL"),
        Column("labels", "set('x','y','z')", "DEFAULT NULL"),
        Column("tiny", "tinyint(1)", "DEFAULT NULL"),
        Column("big", "bigint unsigned", "DEFAULT NULL"),
        Column("ratio", "double", "DEFAULT NULL"),
        Column("fixed", "binary(4)", "DEFAULT NULL"),
        Column("hash", "varbinary(32)", "DEFAULT NULL"),
        Column("long_bytes", "longblob"),
        Column("letters", "char(4)", "DEFAULT NULL"),
        Column("long_text", "longtext"),
    ]
    full: list[tuple[Value, ...]] = [
        (b"\x01", b"\x02\xff", "2024-02-29 12:34:56", "2024-02-29", "12:34:56.789", 2024, "it's", "x,z", 1),
        (b"\x00", b"\x00\x00", "1970-01-01 00:00:01", "1000-01-01", "-838:59:59.000", 1901, "漢字", "", -128),
        (b"\x01", b"\x03\xff", "2038-01-19 03:14:07", "9999-12-31", "838:59:59.000", 2155, "a", "x,y,z", 127),
        (b"\x00", b"\x00\x01", "2024-03-31 01:30:00", "2024-03-31", "00:00:00.001", 1970, "", "y", 0),
    ]
    rest: list[tuple[Value, ...]] = [
        (2**64 - 1, 1.5, b"\x00\xff\x00\xff", bytes(range(32)), b"\x00" * 300, "abcd", "a\r\n" * 100),
        (0, -1.7976931348623157e308, b"\xff\xff\xff\xff", b"", b"", "", ""),
        (2**63, 2.2250738585072014e-308, b"\x00\x00\x00\x00", b"\xff" * 32, b'"\\\n', "é漢🚀", JSONS[7]),
        (1, 0.1, b"NULL", b"\\N", b"0", "NULL", TEXTS[-5]),
    ]
    rows = [(number + 1, *first, *last) for number, (first, last) in enumerate(zip(full, rest))]
    rows.append((5, *[None] * (len(columns) - 1)))
    return Table("types", columns, rows, keys=["PRIMARY KEY (`id`)"])


def _zero_dates() -> Table:
    return Table(
        "zero dates",
        [
            Column("id", "int", "NOT NULL"),
            Column("moment", "datetime", "NOT NULL DEFAULT '0000-00-00 00:00:00'"),
            Column("stamp", "timestamp", "NOT NULL DEFAULT '0000-00-00 00:00:00'"),
            Column("day", "date", "DEFAULT NULL"),
        ],
        [
            (1, "0000-00-00 00:00:00", "0000-00-00 00:00:00", "0000-00-00"),
            (2, "2023-00-00 00:00:00", "2023-05-06 07:08:09", "2023-05-00"),
            (3, "2023-05-06 07:08:09", "0000-00-00 00:00:00", None),
        ],
        keys=["PRIMARY KEY (`id`)"],
    )


def _generated() -> list[Table]:
    return [
        Table(
            "generated",
            [
                Column("id", "int", "NOT NULL"),
                Column("double", "int", generated="`value` * 2"),
                Column("value", "int", "DEFAULT NULL"),
                Column("label", "varchar(20)", generated="concat('n', `value`)"),
            ],
            [(number, number * 6, number * 3, f"n{number * 3}") for number in range(1, 21)],
            keys=["PRIMARY KEY (`id`)"],
        ),
        Table(
            "generated and indexed",
            [
                Column("id", "int", "NOT NULL AUTO_INCREMENT"),
                Column("email", "varchar(64)", "NOT NULL"),
                Column("domain", "varchar(64)", generated="substring_index(`email`, '@', -1)"),
            ],
            [(number, f"{number}@d{number % 3}", f"d{number % 3}") for number in range(1, 21)],
            keys=["PRIMARY KEY (`id`)", "KEY `domain` (`domain`)"],
        ),
    ]


def _keys() -> list[Table]:
    return [
        Table("no key", [Column("word", "varchar(20)"), Column("times", "int")], [("a", 1), ("a", 1), ("b", None)] * 4),
        Table(
            "counters",
            [Column("id", "int", "NOT NULL AUTO_INCREMENT"), Column("name", "varchar(20)", "DEFAULT NULL")],
            [(0, "zero"), (1, "one"), (-5, "below"), (7, None)],
            keys=["PRIMARY KEY (`id`)"],
        ),
        Table(
            "auto increment in the second column",
            [Column("shop", "int", "NOT NULL"), Column("number", "int", "NOT NULL AUTO_INCREMENT")],
            [(1, 1), (1, 2), (2, 3)],
            keys=["PRIMARY KEY (`shop`,`number`)", "KEY `number` (`number`)"],
            order="`shop`, `number`",
        ),
        Table(
            "composite",
            [
                Column("country", "char(2)", "NOT NULL"),
                Column("number", "int", "NOT NULL"),
                Column("name", "varchar(40)", "DEFAULT NULL"),
            ],
            [(country, number, f"{country}{number}") for country in ("BR", "CN", "IN") for number in range(4)],
            keys=["PRIMARY KEY (`country`,`number`)", "UNIQUE KEY `name` (`name`)"],
            order="`country`, `number`",
        ),
        Table(
            "articles",
            [
                Column("id", "int", "NOT NULL"),
                Column("title", "varchar(100)", "DEFAULT NULL"),
                Column("body", "text"),
            ],
            [(number, f"Title {number}", f"Backup and restore, part {number}") for number in range(1, 11)],
            keys=["PRIMARY KEY (`id`)", "FULLTEXT KEY `words` (`title`,`body`)"],
        ),
    ]


def _names() -> list[Table]:
    """Names that break a statement which does not quote them."""
    found = []
    for name in ("back`tick", 'double"quote', "order", "per%cent", "dash-and.dot", " blank", "semi;colon", "データ"):
        columns = [Column("select", "int", "NOT NULL"), Column("a`b", "varchar(20)"), Column("c\"d'e", "varbinary(8)")]
        found.append(Table(name, columns, [(1, name, b"\x00\xff"), (2, None, None)], keys=["PRIMARY KEY (`select`)"]))
    return found


def _empty() -> list[Table]:
    columns = [Column("id", "int", "NOT NULL"), Column("name", "varchar(20)", "DEFAULT NULL")]
    keys = ["PRIMARY KEY (`id`)"]
    return [Table("empty", columns, parts=0, keys=keys), Table("empty file", list(columns), parts=1, keys=list(keys))]


def _one_column() -> Table:
    """Where NULL can be a line without anything."""
    return Table("one column", [Column("text", "text")], [(text,) for text in TEXTS], parts=2, order="hex(`text`)")
