# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Damage in a good backup: all of it is found, told with its place, and never reported as a success.

No message has values of rows in it, or the password.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Optional

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._base.errors import BackupError
from exports import Column, Database, Export, Table, mysql, pack, postgresql, unpack
from restores import RestoreModule, restoration, restore

Files = dict[str, bytes]
Damage = Callable[[Files], None]

#: The name in each row, so that a value in a message is seen.
NAME = "quixote"
ROWS = [
    (
        n,
        f"Quixote{n}",
        f"quixote{n}@example.org",
        f"1605-01-{n:02}",
        f"4711.{n:02}",
        "new",
        f'{{"quixote": {n}}}',
        b"quix%d" % n,
    )
    for n in range(1, 7)
]
TYPES = {
    "mysql": ("int", "varchar(8)", "varchar(64)", "date", "decimal(8,2)", "enum('new','paid')", "json", "varbinary(8)"),
    "postgresql": ("integer", "varchar(8)", "varchar(64)", "date", "numeric(8,2)", "varchar(4)", "jsonb", "bytea"),
}
NAMES = ("id", "name", "email", "born", "amount", "state", "data", "bytes")
#: What of the values must be in no message.
VALUES = re.compile(r"(?i)quixote|1605-|4711\.|717569", re.ASCII)


def export(engine: str, **dialect: Any) -> Export:
    """Two data files of three records each."""
    columns = [
        Column(name, type, "NOT NULL" if name in ("id", "name") else "")
        for name, type in zip(NAMES, TYPES["mysql" if engine == "mysql" else "postgresql"])
    ]
    people = Table("people", columns, ROWS, parts=2)
    other = Table("other", columns[:2], [row[:2] for row in ROWS])
    nobody = Table("nobody", columns[:2], parts=0)
    tables = [people, other, nobody]
    if engine == "mysql":
        people.keys = other.keys = ["PRIMARY KEY (`id`)"]
        made = Export(engine, [Database("shop", tables)], mysql.DEFAULTS)
    else:
        for table in (people, other):
            table.constraints = [f'ALTER TABLE ONLY {{table}} ADD CONSTRAINT "{table.name}_key" PRIMARY KEY ("id")']
        made = Export(engine, [Database("shop", tables)], postgresql.DEFAULTS)
    return made.with_dialect(quoting="text", **dialect)


class Fault(NamedTuple):
    """``says``: what the message has to have in it. ``engines``: where it applies."""

    name: str
    damage: Damage
    says: str
    dialect: Optional[dict[str, Any]] = None
    engines: tuple[str, ...] = ("mysql", "postgresql")


def place(files: Files, ending: str) -> str:
    (name,) = [name for name in files if name.endswith(ending)]
    return name


def edit(old: str, new: str | bytes, ending: str = "people/data/0.csv") -> Damage:
    def damage(files: Files) -> None:
        name = place(files, ending)
        assert old.encode() in files[name], files[name]
        files[name] = files[name].replace(old.encode(), new if isinstance(new, bytes) else new.encode(), 1)

    return damage


def move(old: str, new: str) -> Damage:
    """Rename what is so named, or below it."""

    def damage(files: Files) -> None:
        names = [name for name in files if old in name]
        assert names
        for name in names:
            files[name.replace(old, new)] = files.pop(name)

    return damage


def remove(ending: str) -> Damage:
    return lambda files: files.pop(place(files, ending)) and None  # type: ignore[func-returns-value]


def add(ending: str, content: bytes, beside: str = "people/data/0.csv") -> Damage:
    return lambda files: files.update({place(files, beside).replace(beside, ending): content})


def cut(ending: str = "people/data/0.csv", length: int = 40) -> Damage:
    def damage(files: Files) -> None:
        name = place(files, ending)
        files[name] = files[name][:-length]

    return damage


def line_ends(ending: str) -> Damage:
    def damage(files: Files) -> None:
        name = place(files, ending)
        files[name] = files[name].replace(b"\n", b"\r\n")

    return damage


def empty(ending: str) -> Damage:
    return lambda files: files.update({place(files, ending): b""})


def binary(text: str) -> Damage:
    """Put a text, in quotes, in place of the second record's bytes."""

    def damage(files: Files) -> None:
        name = place(files, "people/data/0.csv")
        files[name], count = re.subn(rb'"(\\x)?7175697832"', lambda match: f'"{text}"'.encode(), files[name])
        assert count == 1

    return damage


def both_nulls(files: Files) -> None:
    edit('"quixote1@example.org"', r"\N")(files)
    edit('"quixote2@example.org"', "NULL")(files)


def without_email(files: Files) -> None:
    name = place(files, "people/data/0.wh.csv")
    files[name], count = re.subn(rb'^("?id"?,"?name"?),"?email"?,', rb"\1,", files[name])
    assert count == 1


def insert(old: str, new: str) -> Damage:
    return edit(old, new, "people/data/0.sql")


MYSQL, POSTGRESQL = ("mysql",), ("postgresql",)
HEADER, IN_SQL = {"format": "wh.csv"}, {"format": "sql"}


FILE = r"people/data/0\.csv"
RECORD = r"record 2 of dt-export/shop/(public/)?people/data/0\.csv"
#: What MySQL says by a warning, and PostgreSQL by the record.
LOADING = rf"load (shop\.people, records 1 to 3 of dt-export/shop/{FILE}: .* in record 2|{RECORD}, column \w+,)"
SQL = r"people/data/0\.sql"
FAULTS = [
    Fault(
        "an odd number of hex digits",
        edit("7175697832", "717569783"),
        rf"{RECORD} does not have pairs .* in column 'bytes'",
    ),
    Fault("no hex digit", edit("7175697832", "71756978g2"), rf"{RECORD} does not have pairs .* in column 'bytes'"),
    Fault(
        "binary data in place of hex",
        edit("7175697832", "quix2"),
        rf"{RECORD} does not have pairs .* in column 'bytes'",
    ),
    Fault(
        "a word for NULL in quotes in a binary column",
        binary("NULL"),
        rf"{RECORD} does not have pairs .* in column 'bytes'",
    ),
    Fault("an N in a binary column", binary("N"), rf"{RECORD} does not have pairs .* in column 'bytes'"),
    Fault("a NULL in quotes in a binary column", binary(r"\N"), rf"{RECORD} does not have pairs .* in column 'bytes'"),
    Fault("a record that is cut at the end of the file", cut(), r"record 3 .*(a quote is not closed|has 6 fields)"),
    Fault("a record without its line end", edit('32"\n', '32"'), rf"{RECORD}, at byte 9\d, has 15 fields"),
    Fault(
        "a quote that is lost",
        edit('example.org"', "example.org"),
        rf"{FILE} .*from record (1 on: a quote is in|2 on: a quote is not)",
    ),
    Fault(
        "a quote within a field", edit("Quixote2", 'Qui"x"te2'), rf"{FILE} .*from record 2 on: a quote is in the mid"
    ),
    Fault(
        "a field more", edit('"Quixote2"', '"Quixote2","x"'), rf"{RECORD}, at byte 9\d, has 9 fields, and the others 8"
    ),
    Fault("a field less", edit('"Quixote2",', ""), rf"{RECORD}, at byte 9\d, has 7 fields, and the others 8"),
    Fault(
        "a field more in the first record", edit('"Quixote1"', '"Quixote1","x"'), rf"{FILE} .*: record 1 has 9 fields"
    ),
    Fault("bytes that are not UTF-8", edit("Quixote2", b"Quixot\xe92"), rf"{FILE} is not UTF-8 at byte 10\d"),
    Fault(
        "another character set", edit("Quixote2", "Quix\xf3te".encode("latin-1")), rf"{FILE} is not UTF-8 at byte 10\d"
    ),
    Fault("two records with one key", edit("\n2,", "\n1,"), rf"{FILE}.*(?i:duplicate)"),
    Fault(
        "two with one key in two files",
        edit("\n5,", "\n2,", "people/data/1.csv"),
        r"people/data/1\.csv.*(?i:duplicate)",
    ),
    Fault("a value that is too long", edit("Quixote2", "Quixote20"), LOADING),
    Fault("text in a number", edit("4711.02", "Quixote"), LOADING),
    Fault("a number that is out of range", edit("4711.02", "47110000.02"), LOADING),
    Fault("an integer that is out of range", edit("\n2,", "\n99999999999,"), LOADING),
    Fault("a number with a comma", edit("4711.02", "4711,02"), LOADING, engines=("mysql",)),
    Fault("a number with a comma", edit("4711.02", "4711,02"), LOADING, engines=("postgresql",)),
    Fault("a date that is none", edit("1605-01-02", "1605-02-31"), LOADING),
    Fault("text in a date", edit("1605-01-02", "Quixote"), LOADING),
    Fault("JSON that is none", edit('{""quixote"": 2}', '{""quixote"": '), rf"{FILE}.*(JSON|json|people\.data)"),
    Fault("a value that an enumeration has not", edit('2","new"', '2","quixote"'), LOADING),
    Fault("NULL where there is none", edit('"Quixote2"', "{null}"), rf"{LOADING}|{RECORD} .*violates not-null"),
    Fault("an empty number", edit("4711.02", ""), LOADING),
    Fault(
        "two notations of NULL", both_nulls, rf"{FILE} has \\N, and .*{FILE} has NULL.*set csv_null", engines=("mysql",)
    ),
    Fault("line ends of Windows", line_ends("people/data/0.csv"), rf"{FILE} .*CR LF"),
    Fault(
        "line ends of Windows, and a header",
        line_ends("people/data/0.wh.csv"),
        r"0\.wh\.csv .*CR LF",
        {"format": "wh.csv"},
    ),
    Fault(
        "two formats in a table", add("people/data/2.sql", b""), r"people are \.csv and \.sql, and one table has one"
    ),
    Fault(
        "data without a structure", remove("people/structure.sql"), rf"{FILE} has data of a table without", {}, MYSQL
    ),
    Fault(
        "data without a structure",
        remove("people/column_structure.sql"),
        "'people' does not create a table",
        {},
        POSTGRESQL,
    ),
    Fault("a structure without a table", edit("CREATE TABLE", "x", "people/structure.sql"), "people/", None, MYSQL),
    Fault(
        "no table",
        edit("CREATE TABLE", "SELECT", "people/column_structure.sql"),
        "not supported: SELECT",
        None,
        POSTGRESQL,
    ),
    Fault(
        "an empty table of which the structure is empty",
        empty("nobody/structure.sql"),
        "nobody/structure.sql creates neither a table nor a database",
        None,
        MYSQL,
    ),
    Fault(
        "an empty table of which the structure is empty",
        empty("nobody/column_structure.sql"),
        "'nobody' does not create a table",
        None,
        POSTGRESQL,
    ),
    Fault(
        "a table of another name",
        move("/people/", "/persons/"),
        r"persons'? has the structure of (the table 'people'|pub)",
    ),
    Fault(
        "a header with a wrong name",
        edit("email", "e_mail", "people/data/0.wh.csv"),
        "names the column 'e_mail', which",
        HEADER,
    ),
    Fault(
        "a header with a column twice",
        edit("id", "name", "people/data/0.wh.csv"),
        "names the column 'name' twice",
        HEADER,
    ),
    Fault("a header without a column", without_email, "lacks the column 'email'", HEADER),
    Fault("a header that is none", edit("email", 'em"ail', "people/data/0.wh.csv"), r"0\.wh\.csv .*quote", HEADER),
    Fault("an unknown format", add("people/data/2.json", b"{}"), r"people/data/2\.json is in an unknown format"),
    Fault("Parquet", add("people/data/0.parquet", b"PAR1"), r"people/data/0\.parquet is Parquet.*format csv or SQL"),
    Fault("BSON", add("people/data/0.bson", b"\5"), r"people/data/0\.bson is a MongoDB collection.*mongorestore"),
    Fault("qpress", add("people/data/base.qp", b"q"), r"base\.qp is a physical backup.*with qpress and xtrabackup"),
    Fault("xbstream", add("people/data/base.xb", b"X"), r"base\.xb is a physical backup.*xtrabackup"),
    Fault(
        "an INSERT into another table",
        insert("people", "other"),
        rf"{SQL} has an INSERT into another .* at byte 0",
        IN_SQL,
    ),
    Fault(
        "another statement",
        insert("INSERT", "DELETE FROM other; INSERT"),
        rf"{SQL} has another statement .* at byte 0",
        IN_SQL,
    ),
    Fault(
        "a statement on a line",
        insert("INSERT", "DROP TABLE other;\nINSERT"),
        rf"{SQL} has another statement .* at byte 0",
        IN_SQL,
    ),
    Fault(
        "a statement at the end",
        insert(");", "); DELETE FROM other;"),
        rf"{SQL} .*(not a constant|another statement)",
        IN_SQL,
    ),
    Fault("a call in a value", insert("'Quixote2'", "user()"), rf"{SQL} ha.*a value that is not a constant", IN_SQL),
    Fault(
        "a query in a value", insert("'Quixote2'", "(SELECT 1)"), rf"{SQL} ha.*a value that is not a constant", IN_SQL
    ),
    Fault(
        "an expression of the server",
        insert("'Quixote2'", "@@version"),
        rf"{SQL} ha.*a value that is not a constant",
        IN_SQL,
    ),
    Fault(
        "a text in SQL without quotes",
        insert("'Quixote2'", "Quixote2"),
        rf"{SQL} ha.*a value that is not a constant",
        IN_SQL,
    ),
    Fault("SQL that is cut", cut("people/data/0.sql"), rf"{SQL} ends in the middle of a statement .* byte 0", IN_SQL),
    Fault("a value less in SQL", insert("'Quixote2',", ""), SQL, IN_SQL),
    Fault("a value in SQL that is too long", insert("Quixote2", "Quixote20"), rf"{SQL}.* too long", IN_SQL),
    Fault("a number in SQL that is none", insert("'4711.02'", "4711.02e999"), SQL, IN_SQL),
    Fault("two records with one key in SQL", insert("(2,", "(1,"), rf"{SQL}.*(?i:duplicate)", IN_SQL),
]


@pytest.fixture(params=["mysql", "mariadb", "postgresql"])
def module(request: pytest.FixtureRequest, module_of: Any) -> RestoreModule:
    return RestoreModule(module_of, request.getfixturevalue(request.param))


def test_the_backup_is_good_without_damage(module: RestoreModule, tmp_path: Path) -> None:
    for number, dialect in enumerate(({}, {"format": "sql"}, {"format": "wh.csv"})):
        source = tmp_path / f"{number}.tar.gz"
        source.write_bytes(pack(export(module.engine, **dialect).files(), "tar.gz"))
        assert module(source)["state"] == "done", dialect
        module.server.reset()


def failure(module: RestoreModule, result: dict[str, Any]) -> str:
    """The message of a run that has to fail, of which nothing is recorded as done and no value is shown."""
    assert result.get("failed"), result
    assert not VALUES.search(module.output), module.output
    assert result.get("state") != "done"
    assert "done" not in module.states()
    return str(result["msg"])


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_damage_is_found(module: RestoreModule, tmp_path: Path, fault: Fault) -> None:
    if module.engine not in fault.engines:
        pytest.skip("of another engine")
    files = export(module.engine, **(fault.dialect or {})).files()
    fault.damage(files)
    for name, content in files.items():
        files[name] = content.replace(b"{null}", rb"\N" if module.is_mysql else b"")
    source = tmp_path / "backup.tar.gz"
    source.write_bytes(pack(files, "tar.gz"))
    databases = module.databases()
    result = module(source)
    message = failure(module, result)
    assert re.search(fault.says, message), message
    if result["error"]["kind"] == "backup" and not (module.engine == "postgresql" and fault.dialect == IN_SQL):
        assert module.databases() == databases, "it is found in the first pass"
        assert "run it again to continue" not in message
    # Again is not better.
    assert module(source)["failed"]


def test_a_value_is_shown_where_that_is_wanted(module: RestoreModule, tmp_path: Path) -> None:
    files = export(module.engine).files()
    edit("4711.02", "Quixote")(files)
    unpack(files, tmp_path / "backup")
    result = module(tmp_path / "backup", show_data=True)
    assert result["failed"]
    assert "Quixote" in result["msg"]


# Damage in the archive, and between the two passes


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda data: data[: len(data) // 2], "backup.tar.gz"),
        (lambda data: data[:-4], "backup.tar.gz"),
        (lambda data: data[:-8] + bytes(4) + data[-4:], "backup.tar.gz"),
        (lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:], "backup.tar.gz"),
    ],
    ids=["half of it", "without its end", "another checksum", "a bit"],
)
def test_damage_of_the_archive_is_found(
    module: RestoreModule, tmp_path: Path, damage: Callable[[bytes], bytes], says: str
) -> None:
    source = tmp_path / "backup.tar.gz"
    source.write_bytes(damage(pack(export(module.engine).files(), "tar.gz")))
    databases = module.databases()
    result = module(source)
    message = failure(module, result)
    assert says in message
    assert result["error"]["kind"] == "archive", message
    assert module.databases() == databases


def test_a_file_that_is_twice_in_the_archive_is_found(module: RestoreModule, tmp_path: Path) -> None:
    files = export(module.engine).files()
    name = place(files, "people/data/0.csv")
    source = tmp_path / "backup.tar"
    source.write_bytes(pack(files, "tar")[:-1024] + pack({name: files[name]}, "tar"))
    message = failure(module, module(source))
    assert f"{name} is in the source twice. The backup is damaged: download it again" in message


@pytest.mark.parametrize(
    "change",
    [
        edit("Quixote2", "Quixote9"),
        lambda files: files.pop(place(files, "people/data/1.csv")) and None,
        cut("people/data/1.csv", 1),
    ],
    ids=["a value", "a file", "the end of a file"],
)
def test_a_change_between_the_passes_is_found(module: RestoreModule, tmp_path: Path, change: Damage) -> None:
    files = export(module.engine).files()
    unpack(files, tmp_path / "backup")
    with restoration(module.target, tmp_path / "backup") as one:
        lock = one._server.lock

        def change_it(plan: Any) -> None:
            """After the first pass, and before the second one."""
            before = set(files)
            change(files)
            for name in before - set(files):
                (tmp_path / "backup" / name).unlink()
            for name, content in files.items():
                (tmp_path / "backup" / name).write_bytes(content)
            lock(plan)

        one._server.lock = change_it  # type: ignore[method-assign]
        with pytest.raises(BackupError, match=r"was changed|cannot be read|other records") as raised:
            one.run()
    assert not VALUES.search(str(raised.value))
    assert "done" not in module.states()


def test_a_quote_in_a_field_is_found_anywhere(module: RestoreModule, tmp_path: Path) -> None:
    made = export(module.engine)
    rows = [(n, *ROWS[n % 6][1:]) for n in range(1, 3001)]
    made.databases[0].table("people").rows = rows
    files = made.files()
    edit('\n2900,"Quixote', '\n2900,"Qui"x"te', "people/data/1.csv")(files)
    unpack(files, tmp_path / "backup")
    with pytest.raises(BackupError, match=r"1\.csv cannot be read from record 1400 on: a quote is in the middle of a"):
        restore(module.target, tmp_path / "backup", piece_size=8192)
