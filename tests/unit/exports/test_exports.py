# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The generator of backups: what independent readers read is what its manifest says."""

from __future__ import annotations

import csv
import gzip
import io
import re
import struct
import tarfile
import zlib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import zstandard
from exports import (
    Column,
    Export,
    Table,
    Value,
    large,
    mongodb,
    mysql_tables,
    ordered,
    pack,
    pack_tree,
    postgresql_tables,
    tar,
    unpack,
)
from exports.data_files import needs_quotes
from exports.packing import ORDERS, PACKERS

INFINITY = float("inf")
ENGINES = {"mysql": mysql_tables, "postgresql": postgresql_tables}
# What stands between commas, and whether it was in quotes. One for each way to say a quote.
FIELDS = {
    "doubled": re.compile(r'("(?P<quoted>(?:[^"]|"")*)"|(?P<plain>[^",\n]*))(?P<end>[,\n])'),
    "escaped": re.compile(r'("(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^",\n]*))(?P<end>[,\n])', re.DOTALL),
}


def as_text(value: Value, prefix: str) -> str:
    """What stands in CSV for a value that is not NULL."""
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, bytes):
        return prefix + value.hex()
    if isinstance(value, float) and value in (INFINITY, -INFINITY):
        return "Infinity" if value > 0 else "-Infinity"
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def expected(export: Export, name: str) -> list[list[str | None]]:
    """The fields of the data files of a table, from the tables alone."""
    prefix = "" if export.engine == "mysql" else "\\x"
    table = export.databases[0].table(name)
    everything = export.dialect.generated == "values"
    places = [place for place, column in enumerate(table.columns) if everything or not column.generated]
    return [[None if row[place] is None else as_text(row[place], prefix) for place in places] for row in table.rows]


def read(text: str, export: Export) -> Iterator[list[str | None]]:
    """Records by a reader of its own, which tells NULL from text."""
    dialect, row = export.dialect, []
    place, pattern = 0, FIELDS[dialect.quotes]
    while place < len(text):
        match = pattern.match(text, place)
        assert match, text[place : place + 60]
        place, value = match.end(), match["quoted"]
        if value is None:
            row.append(None if match["plain"] == dialect.null else match["plain"])
        elif dialect.quotes == "escaped":
            row.append(re.sub(r'\\(["\\])', r"\1", value) if dialect.escape else value.replace('\\"', '"'))
        else:
            value = value.replace('""', '"')
            row.append(value.replace("\\\\", "\\") if dialect.escape else value)
        if match["end"] == "\n":
            yield row
            row = []


DIALECTS = [
    {"null": null, "quotes": quotes, "quoting": quoting, "escape": escape, "format": "wh.csv" if escape else "csv"}
    for null in ("\\N", "NULL", "")
    for quoting in ("all", "text", "needed")
    for quotes, escape in (("doubled", True), ("doubled", False), ("escaped", True))
]


@pytest.mark.parametrize("engine", ENGINES)
def test_each_dialect_says_the_same_values(engine: str) -> None:
    for dialect in DIALECTS:
        export = ENGINES[engine].export(**dialect)
        files = export.files()
        for facts in export.manifest():
            found = []
            for name in facts.files:
                rows = list(read(files[name].decode(), export))
                header = rows[:1] if dialect["format"] == "wh.csv" and rows else []
                assert not header or header[0] == [
                    column.name
                    for column in export.databases[0].table(facts.name).columns
                    if not column.generated or export.dialect.generated == "values"
                ]
                found += rows[len(header) :]
            assert found == expected(export, facts.name), (dialect, facts.name)


@pytest.mark.parametrize("engine", ENGINES)
def test_csv_as_the_csv_module_reads_it(engine: str) -> None:
    """It can't tell NULL from text, but nobody here wrote it."""
    export = ENGINES[engine].export(null="\0", escape=False)
    files = export.files()
    for facts in export.manifest():
        text = "".join(files[name].decode() for name in facts.files).replace("\0", "<null>")
        rows = list(csv.reader(io.StringIO(text, newline="")))
        wanted = [["<null>" if value is None else value for value in row] for row in expected(export, facts.name)]
        assert rows == wanted, facts.name


@pytest.mark.parametrize("engine", ENGINES)
def test_the_manifest_is_of_the_files(engine: str) -> None:
    export = ENGINES[engine].export(["shop", "crm"])
    files = export.files()
    data = {name for name in files if "/data/" in name}
    assert {name for facts in export.manifest() for name in facts.files} == data
    for facts in export.manifest():
        assert sum(one.rows for one in facts.files.values()) == len(facts.rows)
        assert {len(row) for row in facts.rows} <= {len(facts.columns)}
        for name, one in facts.files.items():
            assert (one.bytes, one.crc32) == (len(files[name]), zlib.crc32(files[name]))
    numbers = [name.rpartition("/")[2] for name in export.facts("orders").files]
    assert numbers == [f"{number}.csv" for number in range(12)]
    assert all(one.rows for one in export.facts("orders").files.values())
    assert export.facts("empty").files == {}
    assert [one.bytes for one in export.facts("empty file").files.values()] == [0]


def test_where_files_are() -> None:
    mysql, postgresql = mysql_tables.export(format="wh.csv").files(), postgresql_tables.export().files()
    assert {
        "dt-export/shop/structure.sql",
        "dt-export/shop/edge cases & 漢字's/structure.sql",
        "dt-export/shop/edge cases & 漢字's/data/0.wh.csv",
    } <= set(mysql)
    assert {
        "dt-export/shop/structure.sql",
        "dt-export/shop/public/structure.sql",
        "dt-export/shop/Sales & 漢字's/structure.sql",
        "dt-export/shop/public/orders/column_structure.sql",
        "dt-export/shop/public/orders/constraint_structure.sql",
        "dt-export/shop/public/orders/index_structure.sql",
        "dt-export/shop/public/measurements_2024/inherit_structure.sql",
        "dt-export/shop/public/orders/data/11.csv",
    } <= set(postgresql)
    assert "dt-export/shop/public/measurements/index_structure.sql" not in postgresql
    flat = mysql_tables.export()
    flat.root, flat.flat = "", True
    assert {"structure.sql", "orders/structure.sql", "orders/data/0.csv"} <= set(flat.files())


@pytest.mark.parametrize("engine", ENGINES)
def test_options_of_structures(engine: str) -> None:
    def of(table: str, **dialect: Any) -> str:
        files = ENGINES[engine].export(**dialect).files()
        name = next(name for name in files if f"/{table}/" in name and name.endswith("structure.sql"))
        return files[name].decode()

    assert "GENERATED ALWAYS AS" in of("generated", generated="values")
    assert "GENERATED ALWAYS AS" in of("generated", generated="structure")
    assert "double" not in of("generated", generated="absent")
    if engine == "postgresql":
        words = ("CREATE SEQUENCE", "nextval", "OWNED BY", "bigserial")
        found = {way: [word in of("orders", sequences=way) for word in words] for way in WAYS}
        assert found == WAYS


WAYS = {
    "owned": [True, True, True, False],
    "created": [True, True, False, False],
    "serial": [False, False, False, True],
    "missing": [False, True, False, False],
}


@pytest.mark.parametrize("engine", ENGINES)
def test_the_facts_of_generated_columns(engine: str) -> None:
    def of(way: str) -> tuple[list[str], list[Value], int]:
        export = ENGINES[engine].export(generated=way)
        (name,) = export.facts("generated").files
        commas = export.files()[name].split(b"\n")[0].count(b",")
        return export.facts("generated").columns[:3], list(export.facts("generated").rows[0][:3]), commas

    more = 1 if engine == "mysql" else 0
    assert of("values") == (["id", "double", "value"], [1, 6, 3], 2 + more)
    assert of("structure") == (["id", "double", "value"], [1, 6, 3], 1)
    assert of("absent") == (["id", "value"], [1, 3], 1)


def test_what_the_records_have_in_them() -> None:
    """The tables of tests are worth what is in them."""
    for tables in ENGINES.values():
        export = tables.export()
        values = [value for facts in export.manifest() for row in facts.rows for value in row]
        texts = [value for value in values if isinstance(value, str)]
        assert None in values
        assert {"", "NULL", "\\N", "\\.", '"', ",", "\n", "\r", " "} <= set(texts)
        for part in ('"', ",", "\n", "\r\n", "\\", "'", "🚀", "漢字", "𠮷", "\\N", "\\."):
            assert any(part in text and text != part for text in texts), part
        assert any(isinstance(value, bytes) and b"\x00" in value and b"\xff" in value for value in values)
        assert any(isinstance(value, Decimal) for value in values)
        assert export.facts("orders").rows[0][0] == 1
    zero = mysql_tables.export().facts("zero dates")
    assert "0000-00-00 00:00:00" in zero.rows[0]
    assert mysql_tables.export().facts("counters").rows[0][0] == 0


def test_sql_files() -> None:
    table = Table(
        "a`b", [Column("i", "int"), Column("t", "text"), Column("b", "blob")], [(1, "it's\n\\N", b"\xff")] * 3
    )
    export = mysql_tables.export(format="sql", rows_per_insert=2)
    export.databases[0].tables = [table]
    row = r"(1,'it''s\n\\N',0xff)"
    head = "INSERT INTO `shop`.`a``b` (`i`, `t`, `b`) VALUES\n"
    (name,) = export.facts("a`b").files
    assert name == "dt-export/shop/a`b/data/0.sql"
    assert export.files()[name].decode() == f"{head}{row},\n{row};\n{head}{row};\n"
    plain = export.with_dialect(name_columns=False, name_database=False, rows_per_insert=3)
    assert plain.files()[name].decode() == f"INSERT INTO `a``b` VALUES\n{row},\n{row},\n{row};\n"

    table.rows = [(None, "it's\n\\N", b"")]
    other = postgresql_tables.export(format="sql")
    other.databases[0].tables = [table]
    (content,) = [content for name, content in other.files().items() if "/data/" in name]
    assert content.decode() == 'INSERT INTO "public"."a`b" ("i", "t", "b") VALUES\n(NULL,\'it\'\'s\n\\N\',\'\\x\');\n'


def test_one_damaged_value_changes_one_file() -> None:
    export, damaged = mysql_tables.export(), mysql_tables.export()
    table = damaged.database("shop").table("orders")
    table.rows = [(0, *row[1:]) if row[0] == 100 else row for row in table.rows]
    before, after = export.files(), damaged.files()
    assert [name for name in before if before[name] != after[name]] == ["dt-export/shop/orders/data/11.csv"]


# large backups


@pytest.mark.parametrize("engine", ENGINES)
def test_a_large_backup_is_what_the_slow_way_makes(engine: str, tmp_path: Path) -> None:
    for number, dialect in enumerate([*DIALECTS[::4], {"format": "sql"}, {"format": "sql", "rows_per_insert": 7}]):
        export = large.export(engine, 50, parts=11, small_tables=2, small_rows=9, **dialect)
        slow = large.export(engine, 50, parts=11, small_tables=2, small_rows=9, **dialect)
        table = slow.database("shop").table("orders")
        table.rows = list(table.rows)
        files = slow.files()
        manifest = export.write(tmp_path / str(number))
        for name, content in files.items():
            assert (tmp_path / str(number) / name).read_bytes() == content
        assert [vars(facts) | {"rows": list(facts.rows)} for facts in manifest] == list(map(vars, slow.manifest()))
        assert [len(facts.rows) for facts in manifest] == [50, 9, 9]
        for name, one in [item for facts in manifest for item in facts.files.items()]:
            assert (one.bytes, one.crc32) == (len(files[name]), zlib.crc32(files[name]))


def test_a_large_backup_has_no_row_twice() -> None:
    rows = large.export(rows=20_000).databases[0].tables[0].rows
    assert len({row[0] for row in rows}) == len({row[2] for row in rows}) == len(rows) == 20_000
    assert len({row[3:] for row in rows}) == 20_000


def test_a_large_backup_as_an_archive(tmp_path: Path) -> None:
    files = {"root/t/structure.sql": b"", "root/t/data/10.csv": b"1\n", "root/t/data/0.csv": bytes(3_000_000)}
    unpack(files, tmp_path / "tree")
    pack_tree(tmp_path / "tree", tmp_path / "archive")
    found = members(gzip.decompress((tmp_path / "archive").read_bytes()))
    assert list(found) == ["root/t/data/0.csv", "root/t/data/10.csv", "root/t/structure.sql"]
    assert found == files


# archives


def members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data), ignore_zeros=True) as archive:
        return {entry.name: archive.extractfile(entry).read() for entry in archive if entry.isfile()}  # type: ignore[union-attr]


DECOMPRESS = {
    "tar": bytes,
    "tar.gz": gzip.decompress,
    "tar.zst": lambda data: zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read(),
}


@pytest.mark.parametrize("format", PACKERS)
@pytest.mark.parametrize("tars", [1, 3])
def test_archives(format: str, tars: int, tmp_path: Path) -> None:
    files = postgresql_tables.export().files()
    files["dt-export/big"] = bytes(200_000)
    data = DECOMPRESS[format](pack(files, format, tars=tars, directories=True))
    assert members(data) == files
    assert list(members(data)) == list(files)
    with tarfile.open(fileobj=io.BytesIO(data)) as first:
        assert (len([entry for entry in first if entry.isfile()]) == len(files)) == (tars == 1)
    assert pack(files, format, tars=tars) == pack(files, format, tars=tars)
    unpack(files, tmp_path)
    on_disk = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert on_disk == files


@pytest.mark.parametrize("directories", [False, True])
def test_an_empty_directory(directories: bool, tmp_path: Path) -> None:
    files = {"root/t/structure.sql": b"", "root/empty/data/": b""}
    with tarfile.open(fileobj=io.BytesIO(tar(files, directories=directories))) as archive:
        assert archive.getnames() == [
            *(["root", "root/t"] if directories else []),
            "root/t/structure.sql",
            *([] if directories else ["root"]),
            "root/empty",
            "root/empty/data",
        ]
        assert archive.getmember("root/empty/data").isdir()
    unpack(files, tmp_path)
    assert (tmp_path / "root/empty/data").is_dir()


def test_orders() -> None:
    names = ["r/d/structure.sql", "r/d/t/structure.sql", "r/d/t/data/0.csv", "r/d/t/data/10.csv", "r/d/a/structure.sql"]
    names.append("r/d/a/data/0.csv")
    database, table, *data, other, last = names
    assert ordered(names) == names
    assert ordered(names, "sorted") == [last, other, database, *data, table]
    assert ordered(names, "data first") == [database, *data, table, last, other]
    assert ordered(names, "structures last") == [*data, last, database, table, other]
    assert ordered(names, "shuffled", 1) == ordered(names, "shuffled", 1) != ordered(names, "shuffled", 2)
    for order in ORDERS:
        assert sorted(ordered(names, order)) == sorted(names)
    with pytest.raises(ValueError, match="'random' is not one of as made"):
        ordered(names, "random")


@pytest.mark.parametrize(
    ("text", "needed"), [("a b", False), ("", True), (" a", True), ("\\.", True), ("NULL", True), ("a\rb", True)]
)
def test_what_needs_quotes(text: str, needed: bool) -> None:
    assert needs_quotes(text) == needed


# MongoDB


def decode(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The first document, and the rest."""
    (size,) = struct.unpack_from("<i", data)
    body, found = data[4 : size - 1], {}
    assert data[size - 1] == 0
    while body:
        kind, (key, body) = body[0], body[1:].split(b"\0", 1)
        found[key.decode()], body = decode_value(kind, body)
    return found, data[size:]


def decode_value(kind: int, body: bytes) -> tuple[Any, bytes]:
    if kind in (0x03, 0x04):
        inner, body = decode(body)
        return (inner if kind == 3 else list(inner.values())), body
    if kind == 0x02:
        (size,) = struct.unpack_from("<i", body)
        return body[4 : 3 + size].decode(), body[4 + size :]
    if kind == 0x05:
        (size,) = struct.unpack_from("<i", body)
        return body[5 : 5 + size], body[5 + size :]
    size = {0x01: 8, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x12: 8}[kind]
    form = {0x01: "<d", 0x08: "?", 0x09: "<q", 0x10: "<i", 0x12: "<q"}.get(kind)
    value = body[:size] or None
    return (struct.unpack(form, body[:size])[0] if form else value), body[size:]


def test_documents_of_mongodb() -> None:
    made = mongodb.collections(["shop"])
    files = mongodb.files(made, "root")
    for collection in made:
        place = f"root/shop/{collection.name}"
        assert f"{place}/{collection.name}.metadata.json" in files
        found = []
        for first, second in collection.parts:
            rest = files[f"{place}/data/{collection.name}_{first}_part{second}.bson"]
            while rest:
                document, rest = decode(rest)
                found.append(document)
        assert [one["_id"] for one in found] == [one["_id"] for one in collection.documents]
    everything, rest = decode(files["root/shop/edge cases & 漢字's/data/edge cases & 漢字's_0_part0.bson"])
    wanted = dict(made[1].documents[0])
    assert everything.pop("before 1970") == (wanted.pop("before 1970") - mongodb.EPOCH).total_seconds() * 1000
    assert (everything, rest) == (wanted, b"")
    assert files["root/shop/empty/data/empty_0_part0.bson"] == b""
    assert len([name for name in files if "/events/data/" in name]) == 22
