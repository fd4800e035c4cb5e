# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The dialect of CSV files is found in the data, or what is ambiguous is refused with the evidence."""

from __future__ import annotations

from typing import Any, Optional

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.dialect import Evidence, decide
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.engine import Grammar
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.errors import InvalidBackupError
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.model import (
    Column,
    ColumnKind,
    DataFormat,
    Dialect,
    Null,
    TableStructure,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.mysql_grammar import MySQLGrammar
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.postgresql_grammar import PostgreSQLGrammar
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.reading import FileScan, UnreadFile
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.scanner import FileScanner
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.statements import count_rows

COLUMNS = (
    Column("id", "int", ColumnKind.OTHER),
    Column("text", "text", ColumnKind.TEXT),
    Column("bytes", "blob", ColumnKind.BINARY),
)
STRUCTURE = TableStructure("t", COLUMNS, ("id",), ("PRIMARY",))
MYSQL, POSTGRESQL = MySQLGrammar(), PostgreSQLGrammar()


def scanned(
    data: bytes, grammar: Grammar = MYSQL, format: DataFormat = DataFormat.CSV, **options: Any
) -> dict[bool, FileScan]:
    facts: dict[str, Any] = {"piece_size": 1 << 20, "has_escapes": None, **options}
    file = UnreadFile("shop/t/data/0.csv", format, STRUCTURE, grammar, facts.pop("samples", 10))
    scanner = FileScanner(file, **facts)
    scanner.feed(data)
    return scanner.finish(0)


def dialect_of(
    *files: bytes, grammar: Grammar = MYSQL, null: Optional[Null] = None, has_escapes: Optional[bool] = None
) -> Dialect:
    scans = [scanned(data, grammar, has_escapes=has_escapes) for data in files]
    evidence: list[Evidence] = [(one.get(True) or one[False]).evidence for one in scans]
    return decide(evidence, grammar, null, has_escapes)


@pytest.mark.parametrize(
    ("data", "null"),
    [
        (b'1,"x",00\n2,\\N,\\N\n', Null.BACKSLASH_N),
        (b'1,"x",00\n2,NULL,NULL\n', Null.WORD),
        (b'1,"x",00\n2,NULL,NULL\n3,"NULL",00\n', Null.WORD),
        (b'1,"",00\n2,,00\n', Null.EMPTY),
        (b'1,"x",00\n,"x",00\n', Null.EMPTY),
        (b"1,x,00\n2,,00\n3,\\N,00\n", Null.BACKSLASH_N),
        (b'1,"x",00\n', Null.BACKSLASH_N),
    ],
)
def test_the_notation_of_null_is_found(data: bytes, null: Null) -> None:
    assert dialect_of(data).null is null


def test_a_backup_without_nulls_has_that_of_its_engine() -> None:
    assert dialect_of(b"1,x,\\x00\n", grammar=POSTGRESQL) == Dialect(Null.EMPTY, False)


def test_the_first_file_says_nothing_of_the_others() -> None:
    assert dialect_of(b'1,"x",00\n', b'2,"y",NULL\n').null is Null.WORD


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([b'1,"x",00\n2,,00\n'], "an empty field without quotes, in column text"),
        ([b"1,\\N,00\n", b'2,"y",NULL\n'], r"\\N, and .* has NULL"),
        ([b"1,x,00\n2,NULL,00\n"], "NULL in column text .* can be a text"),
        ([b'1,"",00\n2,,00\n3,\\N,00\n'], "empty fields without quotes that are not empty texts"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(files: list[bytes], said: str) -> None:
    with pytest.raises(InvalidBackupError, match=said) as caught:
        dialect_of(*files)
    assert "csv_null" in str(caught.value)
    assert dialect_of(*files, null=Null.WORD).null is Null.WORD


@pytest.mark.parametrize(
    ("data", "has_escapes"),
    [
        (b'1,"a\\\\b",00\n', True),
        (b'1,"a\\"b",00\n2,"c",00\n', True),
        (b'1,"a\\db",00\n', False),
        (b'1,"C:\\",00\n2,"y",00\n', False),
        (b'1,"x",00\n', True),
        (b"1,\\N,00\n", True),
    ],
)
def test_whether_backslashes_escape_is_found(data: bytes, has_escapes: bool) -> None:
    assert dialect_of(data).has_escapes is has_escapes


@pytest.mark.parametrize("data", [b'1,"a\\nb",00\n', b'1,"\\0",00\n'])
def test_a_backslash_that_can_be_both_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidBackupError, match=r"a backslash in shop/t/data/0\.csv can be") as caught:
        dialect_of(data)
    assert "csv_escape" in str(caught.value)
    for has_escapes in (True, False):
        assert dialect_of(data, has_escapes=has_escapes).has_escapes is has_escapes


def test_files_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(InvalidBackupError, match="backslashes escape other characters in"):
        dialect_of(b'1,"a\\"b,",00\n', b'1,"a\\d",00\n')


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'1,"x",00\n2,"y"\n', r"record 2 of shop/t/data/0\.csv, at byte 9, has 2 fields, and the others 3"),
        (b'1,"x",00\n2\n', r"record 2 .*, at byte 9, has 1 field, and the others 3"),
        (b'1,"a\nb",00\n2,"y",00,3\n', "record 2 .*, at byte 11, has 4 fields"),
        (b'1,"x"\n', "record 1 has 2 fields, and the table 3 columns"),
        (b'1,"x",0\n', "record 1 .* does not have pairs of hexadecimal digits in column 'bytes'"),
        (b'1,"x",00\n2,"y",zz\n', "record 2 .* column 'bytes'"),
        (b'1,"\xff",00\n', "not UTF-8 at byte 3"),
        (b'1,"x",00\r\n2,"y",00\r\n', "CR LF"),
        (b'1,"x",00\n2,"y,00\n', "from record 2 on: a quote is not closed"),
        (b'1,x"y",00\n', "a quote is in the middle"),
    ],
)
def test_what_is_not_whole_is_refused_with_its_place(data: bytes, said: str) -> None:
    with pytest.raises(InvalidBackupError, match=said):
        scanned(data)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"id,text,other\n", "names the column 'other', which the table does not have"),
        (b"id,text\n", "lacks the column 'bytes'"),
        (b"id,text,text\n", "names the column 'text' twice"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(header: bytes, said: str) -> None:
    with pytest.raises(InvalidBackupError, match=said):
        scanned(header + b'1,"x",00\n', format=DataFormat.CSV_WITH_HEADER)


def test_a_header_gives_the_order_of_the_columns() -> None:
    scan = scanned(b'"text",`bytes`,id\n'.replace(b"`", b'"') + b'"x",00,1\n', format=DataFormat.CSV_WITH_HEADER)[True]
    assert scan.file.columns == ("text", "bytes", "id")
    assert scan.file.records == 1


def test_samples_are_spread_over_the_file_with_both_ends() -> None:
    data = b"".join(b'%d,"x",00\n' % number for number in range(1, 2001))
    samples = scanned(data, piece_size=100, samples=8)[True].samples
    numbers = [sample.record for sample in samples]
    assert numbers[0] == 1
    assert numbers[-1] == 2000
    assert 4 <= len(numbers) <= 9
    assert max(after - before for before, after in zip(numbers, numbers[1:])) < 1000
    assert all(sample.data == b'%d,"x",00\n' % sample.record for sample in samples)


@pytest.mark.parametrize("data", [b"INSERT INTO `t` VALUES (1,'a;\nb(',0x00),(2,'',CONCAT('(','x'));\n"])
def test_rows_of_sql_are_counted(data: bytes) -> None:
    # Whatever the values are: an engine may refuse the function.
    assert count_rows(data, "0.sql", 0, True) == 2


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"DROP TABLE `t`;\n", "another statement than INSERT"),
        (b"INSERT INTO `t` VALUES (1,'a'),\n(2,", "ends in the middle of a statement"),
    ],
)
def test_other_statements_are_refused(data: bytes, said: str) -> None:
    with pytest.raises(InvalidBackupError, match=said):
        scanned(data, format=DataFormat.SQL)
