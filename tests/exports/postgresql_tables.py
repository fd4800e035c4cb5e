# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables of PostgreSQL with all that is hard in them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from . import postgresql
from .layout import Export
from .model import Column, Database, Table, Value
from .records import TEXTS, customers, edge_cases, orders

KEY = 'ALTER TABLE ONLY {table} ADD CONSTRAINT "%s" PRIMARY KEY (%s)'


def export(databases: Sequence[str] = ("shop",), **dialect: Any) -> Export:
    """The same tables in each database."""
    made = Export("postgresql", [Database(name, tables()) for name in databases], postgresql.DEFAULTS)
    return made.with_dialect(**dialect)


def tables() -> list[Table]:
    return [
        _invoice_lines(),
        _orders(),
        _customers(),
        _edge_cases(),
        _types(),
        *_identities(),
        *_inherited(),
        _generated(),
        *_names(),
        *_empty(),
        _one_column(),
        Table("no key", [Column("word", "text"), Column("times", "integer")], [("a", 1), ("a", 1), ("b", None)] * 4),
    ]


def _invoice_lines() -> Table:
    """Its foreign keys are of tables that come later."""
    return Table(
        "invoice_lines",
        [
            Column("order_id", "bigint", "NOT NULL"),
            Column("line", "integer", "NOT NULL"),
            Column("customer_id", "integer"),
        ],
        [(number, line, number % 30 + 1) for number in range(1, 21) for line in (1, 2)],
        order='"order_id", "line"',
        constraints=[
            'ALTER TABLE ONLY {table} ADD CONSTRAINT "lines_order" FOREIGN KEY ("order_id") REFERENCES "public"."orders"("id")',
            'ALTER TABLE ONLY {table} ADD CONSTRAINT "lines_customer" FOREIGN KEY ("customer_id") '
            'REFERENCES "public"."customers"("id") ON DELETE CASCADE',
            KEY % ("lines_pkey", '"order_id", "line"'),
        ],
    )


def _orders() -> Table:
    return Table(
        "orders",
        [
            Column("id", "bigint", "NOT NULL"),
            Column("customer_id", "integer", "NOT NULL"),
            Column("order_no", "character varying(32)", "NOT NULL"),
            Column("status", "character varying(16)", "DEFAULT 'new'::character varying NOT NULL"),
            Column("amount", "numeric(18,2)", "NOT NULL"),
            Column("created_at", "timestamp without time zone", "NOT NULL"),
            Column("note", "text"),
        ],
        orders(),
        parts=12,
        serial="id",
        constraints=[
            KEY % ("orders_pkey", '"id"'),
            'ALTER TABLE ONLY {table} ADD CONSTRAINT "orders_order_no_key" UNIQUE ("order_no")',
        ],
        indexes=[
            'CREATE INDEX "orders_customer" ON {table} USING btree ("customer_id", "created_at")',
            'CREATE INDEX "orders_paid" ON {table} USING btree ("amount") WHERE (("status")::text = \'paid\'::text)',
        ],
    )


def _customers() -> Table:
    return Table(
        "customers",
        [
            Column("id", "integer", "NOT NULL"),
            Column("name", "text", 'COLLATE "C" NOT NULL'),
            Column("email", "character varying(64)"),
        ],
        customers(),
        parts=2,
        serial="id",
        constraints=[KEY % ("customers_pkey", '"id"')],
        indexes=[
            'CREATE UNIQUE INDEX "customers_email" ON {table} USING btree (lower(("email")::text))',
            'CREATE INDEX "it\'s; an index" ON {table} USING btree ((("name" || \';\'::text)) DESC NULLS LAST)',
        ],
    )


def _edge_cases() -> Table:
    return Table(
        "edge cases & 漢字's",
        [
            Column("id", "integer", "NOT NULL"),
            Column('text, "quoted"', "text"),
            Column("bytes", "bytea"),
            Column("number", "numeric(18,4)"),
            Column("moment", "timestamp(6) without time zone"),
            Column("json", "jsonb"),
        ],
        [(*row[:4], row[4] and str(row[4]).replace(".000000", ""), row[5]) for row in edge_cases()],
        parts=3,
        constraints=[KEY % ("edge cases_pkey", '"id"')],
    )


def _types() -> Table:
    columns = [
        Column("id", "smallint", "NOT NULL"),
        Column("yes", "boolean"),
        Column("numbers", "integer[]"),
        Column("words", "text[]"),
        Column("uuid", "uuid"),
        Column("stamp", "timestamp with time zone"),
        Column("day", "date"),
        Column("clock", "time without time zone"),
        Column("span", "interval"),
        Column("exact", "numeric"),
        Column("ratio", "double precision"),
        Column("big", "bigint"),
        Column("letters", "character(4)"),
        Column("bits", "bit(10)"),
        Column("address", "inet"),
        Column("within", "int4range"),
        Column("json", "json"),
        Column("bytes", "bytea", "DEFAULT '\\x00ff'::bytea"),
    ]
    first: list[tuple[Value, ...]] = [
        (True, "{1,2,NULL}", '{"a,b","say \\"hi\\"",NULL,"NULL","back\\\\slash","two\nlines"}'),
        (False, "{}", "{}"),
        (None, "{{1,2},{3,4}}", '{"",漢字,🚀}'),
    ]
    second: list[tuple[Value, ...]] = [
        ("00000000-0000-0000-0000-000000000000", "2024-02-29 23:59:59.999999+00", "2024-02-29", "23:59:59.999999"),
        ("ffffffff-ffff-ffff-ffff-ffffffffffff", "infinity", "0001-01-01 BC", "00:00:00"),
        ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "-infinity", "9999-12-31", "24:00:00"),
    ]
    third: list[tuple[Value, ...]] = [
        ("1 year 2 mons 3 days 04:05:06.789", Decimal("1E-30").quantize(Decimal("1E-30")), 1.5, 2**63 - 1, "abcd"),
        ("-1 days", Decimal("NaN"), float("-inf"), -(2**63), "ab  "),
        ("00:00:00", Decimal("12345678901234567890.12345678901234567890"), 0.1, 0, "    "),
    ]
    fourth: list[tuple[Value, ...]] = [
        ("1000000001", "192.168.0.1/24", "[1,10)", '{"b": 1,  "a": 2}', b"\x00\xff"),
        ("0000000000", "::1", "empty", "null", b""),
        ("1111111111", "10.0.0.0/8", "(,5)", '"\\u00e9"', b"\\x00"),
    ]
    rows = [(number + 1, *a, *b, *c, *d) for number, (a, b, c, d) in enumerate(zip(first, second, third, fourth))]
    rows.append((4, *[None] * (len(columns) - 1)))
    return Table("types", columns, rows, constraints=[KEY % ("types_pkey", '"id"')])


def _identities() -> list[Table]:
    found = []
    for when in ("ALWAYS", "BY DEFAULT"):
        table = Table(
            f"identity {when.lower()}",
            [Column("id", "integer", f"NOT NULL GENERATED {when} AS IDENTITY"), Column("name", "text")],
            [(0, "zero"), (1, "one"), (2, None), (50, "fifty")],
        )
        table.constraints = [KEY % (f"{table.name}_pkey", '"id"')]
        found.append(table)
    return found


def _inherited() -> list[Table]:
    """A partitioned table comes before its partitions, and a child before its parent."""
    of_a_day = [Column("day", "date", "NOT NULL"), Column("sensor", "integer", "NOT NULL"), Column("value", "real")]
    place = [Column("name", "text", "NOT NULL"), Column("people", "bigint")]
    measurements = Table("measurements", of_a_day, parts=0, options='PARTITION BY RANGE ("day")')
    measurements.constraints = [KEY % ("measurements_pkey", '"day", "sensor"')]
    partitions = []
    for year in (2023, 2024):
        rows = [(f"{year}-{month:02}-15", sensor, month / 2) for month in range(1, 13) for sensor in (1, 2)]
        partition = Table(f"measurements_{year}", list(of_a_day), rows, order='"day", "sensor"')
        partition.constraints = [KEY % (f"{partition.name}_pkey", '"day", "sensor"')]
        partition.inherits = [
            'ALTER TABLE ONLY "public"."measurements" ATTACH PARTITION {table} '
            f"FOR VALUES FROM ('{year}-01-01') TO ('{year + 1}-01-01')"
        ]
        partitions.append(partition)
    capitals = Table("capitals", [*place, Column("country", "character(2)")], [("Beijing", 22000000, "CN")])
    capitals.inherits = ['ALTER TABLE ONLY {table} INHERIT "public"."cities"']
    return [measurements, *partitions, capitals, Table("cities", place, [("Hangzhou", 12000000), ("杭州", None)])]


def _generated() -> Table:
    return Table(
        "generated",
        [
            Column("id", "integer", "NOT NULL"),
            Column("double", "integer", generated='"value" * 2'),
            Column("value", "integer"),
        ],
        [(number, number * 6, number * 3) for number in range(1, 21)],
        constraints=[KEY % ("generated_pkey", '"id"')],
    )


def _names() -> list[Table]:
    """Names that break a statement which does not quote them; the last three are in a schema with such a name."""
    found = []
    for number, name in enumerate(
        ('double"quote', "back`tick", "order", "per%cent", "UPPER", "it's", "semi;colon", "データ")
    ):
        columns = [Column("select", "integer", "NOT NULL"), Column('a"b', "text"), Column("c'd%s", "bytea")]
        table = Table(name, columns, [(1, name, b"\x00\xff"), (2, None, None)], serial="select" if number == 0 else "")
        table.schema = "Sales & 漢字's" if number > 4 else "public"
        table.constraints = [KEY % (f"names_{number}", '"select"')]
        found.append(table)
    return found


def _empty() -> list[Table]:
    columns = [Column("id", "integer", "NOT NULL"), Column("name", "text")]
    return [
        Table("empty", columns, parts=0, serial="id", constraints=[KEY % ("empty_pkey", '"id"')]),
        Table("empty file", list(columns), parts=1),
    ]


def _one_column() -> Table:
    """Where NULL can be a line without anything, and a text the end of the data."""
    return Table(
        "one column", [Column("text", "text")], [(text,) for text in TEXTS], parts=2, order='"text" COLLATE "C"'
    )
