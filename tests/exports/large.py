# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Large backups for benchmarks: a wide table with five secondary keys, and many small ones, written as a tree."""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Union, overload

from .data_files import Language, csv_field, sql_value
from .layout import LANGUAGES, Export
from .model import Column, Database, Dialect, Row, Table, Value
from .records import CITIES

CUSTOMERS = 500_000
MIDDLES, TAILS = 9973, 4093
"""Primes, so that the same values meet only after 40 million rows. More of them would take longer to make."""
STATES = ["new", "paid", "packed", "shipped", "done", "returned"]
WORDS = [
    "lorem",
    "ipsum",
    "dolor",
    "consectetur",
    "elit",
    "sed",
    "tempor",
    "ut",
    "你好",
    "世界",
    "Grüße",
    "naïve",
    "🚀",
]


@functools.lru_cache(maxsize=1)
def _middles() -> list[Row]:
    """created_at, updated_at, status, city"""
    chance, first = random.Random(1), datetime(2023, 1, 1)

    def moment(**more: int) -> datetime:
        return first + timedelta(seconds=chance.randrange(63072000), **more)

    return [
        (
            # PostgreSQL prints no zeros at the end, and MySQL does.
            moment(microseconds=chance.randrange(10**5) * 10 + 7).isoformat(" ", "microseconds"),
            moment().isoformat(" ", "seconds"),
            chance.choice(STATES),
            chance.choice(CITIES),
        )
        for dummy in range(MIDDLES)
    ]


@functools.lru_cache(maxsize=1)
def _tails() -> list[Row]:
    """amount, note, payload, token, deleted"""
    chance = random.Random(2)
    found: list[Row] = []
    for number in range(TAILS):
        payload = {
            "qty": chance.randint(1, 9),
            "sku": f"S{chance.randrange(10**6):06}",
            "tags": chance.sample(WORDS, 2),
        }
        found.append(
            (
                Decimal(chance.randrange(10**9)).scaleb(-4),
                None if number % 7 == 0 else " ".join(chance.choices(WORDS, k=chance.randint(4, 18))),
                json.dumps(payload, ensure_ascii=False),
                None if number % 11 == 0 else chance.getrandbits(256).to_bytes(32, "big"),
                number % 2,
            )
        )
    return found


def _joined(values: Iterable[Value], language: Language, dialect: Dialect) -> str:
    say = sql_value if dialect.format == "sql" else csv_field
    return ",".join([say(value, language, dialect) for value in values])


@functools.lru_cache(maxsize=2)
def _written(values: Callable[[], list[Row]], language: Language, dialect: Dialect) -> list[str]:
    return [_joined(row, language, dialect) for row in values()]


def _mixed(number: int) -> int:
    """Another number for each one, in no order that an index could profit by."""
    return number * 2654435761 & 0xFFFFFFFF


class WideRows(Sequence[Row]):
    """A sequence of rows that are made when they are asked for."""

    def __init__(self, numbers: range) -> None:
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> WideRows: ...

    def __getitem__(self, place: Union[int, slice]) -> Union[Row, WideRows]:
        if isinstance(place, slice):
            return WideRows(self._numbers[place])
        number = self._numbers[place]
        mixed = _mixed(number)
        head = (number, mixed % CUSTOMERS, f"ORD-{mixed:08x}")
        return (*head, *_middles()[number * 31 % MIDDLES], *_tails()[number * 17 % TAILS])

    def lines(self, language: Language, dialect: Dialect) -> Iterator[str]:
        """What is the same in many rows is made once."""
        middles, tails = _written(_middles, language, dialect), _written(_tails, language, dialect)
        # No value of the first columns needs an escape, or quotes where another one has none.
        head = (
            _joined((1, 2, "ORD"), language, dialect).replace("1", "%d").replace("2", "%d").replace("ORD", "ORD-%08x")
        )
        pattern = f"({head},%s,%s)" if dialect.format == "sql" else f"{head},%s,%s"
        for number in self._numbers:
            mixed = _mixed(number)
            middle, tail = middles[number * 31 % MIDDLES], tails[number * 17 % TAILS]
            yield pattern % (number, mixed % CUSTOMERS, mixed, middle, tail)


def export(
    engine: str = "mysql",
    rows: int = 100_000,
    *,
    parts: int = 4,
    small_tables: int = 0,
    small_rows: int = 500,
    database: str = "shop",
    **dialect: Any,
) -> Export:
    """The wide table, with that number of rows of about 300 bytes in that number of files, and small tables of 30 bytes a row."""
    language: Any = LANGUAGES[engine]
    wide = _wide_of_postgresql() if engine == "postgresql" else _wide_of_mysql()
    wide.rows, wide.parts = WideRows(range(1, rows + 1)), parts
    small = [_small(engine, number, small_rows) for number in range(small_tables)]
    return Export(engine, [Database(database, [wide, *small])], language.DEFAULTS).with_dialect(**dialect)


def _wide_of_mysql() -> Table:
    return Table(
        "orders",
        [
            Column("id", "bigint", "NOT NULL AUTO_INCREMENT"),
            Column("customer_id", "int", "NOT NULL"),
            Column("order_no", "varchar(32)", "NOT NULL"),
            Column("created_at", "datetime(6)", "NOT NULL"),
            Column("updated_at", "datetime", "NOT NULL"),
            Column("status", "varchar(16)", "NOT NULL"),
            Column("city", "varchar(64)", "DEFAULT NULL"),
            Column("amount", "decimal(18,4)", "NOT NULL"),
            Column("note", "varchar(255)", "DEFAULT NULL"),
            Column("payload", "json", "DEFAULT NULL"),
            Column("token", "varbinary(32)", "DEFAULT NULL"),
            Column("deleted", "tinyint(1)", "NOT NULL DEFAULT '0'"),
        ],
        keys=[
            "PRIMARY KEY (`id`)",
            "UNIQUE KEY `order_no` (`order_no`)",
            "KEY `customer` (`customer_id`,`created_at`)",
            "KEY `created` (`created_at`)",
            "KEY `city` (`city`)",
            "KEY `updated` (`status`,`updated_at`)",
        ],
    )


def _wide_of_postgresql() -> Table:
    index = 'CREATE INDEX "orders_%s" ON {table} USING btree (%s)'
    return Table(
        "orders",
        [
            Column("id", "bigint", "NOT NULL"),
            Column("customer_id", "integer", "NOT NULL"),
            Column("order_no", "character varying(32)", "NOT NULL"),
            Column("created_at", "timestamp without time zone", "NOT NULL"),
            Column("updated_at", "timestamp without time zone", "NOT NULL"),
            Column("status", "character varying(16)", "NOT NULL"),
            Column("city", "character varying(64)"),
            Column("amount", "numeric(18,4)", "NOT NULL"),
            Column("note", "character varying(255)"),
            Column("payload", "jsonb"),
            Column("token", "bytea"),
            Column("deleted", "smallint", "DEFAULT 0 NOT NULL"),
        ],
        serial="id",
        constraints=[
            'ALTER TABLE ONLY {table} ADD CONSTRAINT "orders_pkey" PRIMARY KEY ("id")',
            'ALTER TABLE ONLY {table} ADD CONSTRAINT "orders_order_no_key" UNIQUE ("order_no")',
        ],
        indexes=[
            index % ("customer", '"customer_id", "created_at"'),
            index % ("created", '"created_at"'),
            index % ("city", '"city"'),
            index % ("updated", '"status", "updated_at"'),
        ],
    )


def _small(engine: str, number: int, count: int) -> Table:
    name = f"small_{number:03}"
    chance = random.Random(name)
    rows = [(place, chance.choice(WORDS), Decimal(chance.randrange(10**6)).scaleb(-2)) for place in range(1, count + 1)]
    if engine == "postgresql":
        columns = [Column("id", "integer", "NOT NULL"), Column("name", "text"), Column("price", "numeric(10,2)")]
        key = f'ALTER TABLE ONLY {{table}} ADD CONSTRAINT "{name}_pkey" PRIMARY KEY ("id")'
        index = f'CREATE INDEX "{name}_name" ON {{table}} USING btree ("name")'
        return Table(name, columns, rows, serial="id", constraints=[key], indexes=[index])
    columns = [
        Column("id", "int", "NOT NULL AUTO_INCREMENT"),
        Column("name", "varchar(100)", "DEFAULT NULL"),
        Column("price", "decimal(10,2)", "DEFAULT NULL"),
    ]
    return Table(name, columns, rows, keys=["PRIMARY KEY (`id`)", "KEY `name` (`name`)"])
