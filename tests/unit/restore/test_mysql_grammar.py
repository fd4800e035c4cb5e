# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Structures of MySQL: what they say is kept as it stands, and what cannot be right is refused."""

from __future__ import annotations

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.errors import InvalidBackupError
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.model import ColumnKind, DatabaseStructure
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.mysql_grammar import MySQLGrammar
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.mysql_table import MySQLTable

GRAMMAR = MySQLGrammar()


def table(body: str, name: str = "t", options: str = "ENGINE=InnoDB", quoted: str = "") -> MySQLTable:
    text = f"CREATE TABLE {quoted or f'`{name}`'} (\n  {body}\n) {options};\n"
    found = GRAMMAR.parse_table({"structure.sql": text}, name, "")
    assert isinstance(found, MySQLTable)
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CREATE DATABASE `shop`;", DatabaseStructure("shop")),
        (
            "CREATE DATABASE IF NOT EXISTS `shop` /*!40100 DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci */ "
            "/*!80016 DEFAULT ENCRYPTION='N' */;\nUSE `shop`;",
            DatabaseStructure("shop", "utf8mb4", "utf8mb4_0900_ai_ci"),
        ),
        ("-- a note\nCREATE SCHEMA shop DEFAULT CHARSET=latin1", DatabaseStructure("shop", "latin1")),
        ("CREATE DATABASE `a``b 漢字`;", DatabaseStructure("a`b 漢字")),
        ("", DatabaseStructure("directory")),
    ],
)
def test_a_database_has_a_name_and_a_collation(text: str, expected: DatabaseStructure) -> None:
    assert GRAMMAR.parse_database(text, "directory") == expected


@pytest.mark.parametrize(
    ("column", "type", "kind"),
    [
        ("`c` int NOT NULL", "int", ColumnKind.OTHER),
        ("`c` varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT 'a,b)'", "varchar(64)", ColumnKind.TEXT),
        ("`c` ENUM('a','it''s, (b)') DEFAULT NULL", "enum('a','it''s, (b)')", ColumnKind.TEXT),
        ("`c` bit(1) DEFAULT b'0'", "bit(1)", ColumnKind.BINARY),
        ("`c` VARBINARY(32)", "varbinary(32)", ColumnKind.BINARY),
        ("`c` longblob", "longblob", ColumnKind.BINARY),
        ("`c` point NOT NULL /*!80003 SRID 0 */", "point", ColumnKind.BINARY),
        ("`c` json DEFAULT NULL", "json", ColumnKind.OTHER),
        ("`c` decimal(10,2) DEFAULT '0.00' COMMENT 'a `)` in it'", "decimal(10,2)", ColumnKind.OTHER),
        ("`c` timestamp NULL DEFAULT NULL ON UPDATE CURRENT_TIMESTAMP", "timestamp", ColumnKind.OTHER),
        ("`c` tinytext", "tinytext", ColumnKind.TEXT),
    ],
)
def test_the_type_of_a_column_says_how_its_values_are_written(column: str, type: str, kind: ColumnKind) -> None:
    (found,) = table(column).columns
    assert (found.name, found.type, found.kind, found.is_generated) == ("c", type, kind, False)


@pytest.mark.parametrize(
    "column",
    ["`c` int GENERATED ALWAYS AS ((`a` * 2)) STORED", "`c` int AS (`a` * 2) VIRTUAL", "`c` int AS (1) PERSISTENT"],
)
def test_generated_columns_are_known(column: str) -> None:
    assert [one.is_generated for one in table(f"`a` int, {column}").columns] == [False, True]


ID = "`id` int NOT NULL, `a` int, `b` int, PRIMARY KEY (`id`)"


@pytest.mark.parametrize(
    ("body", "keys", "deferred"),
    [
        (f"{ID}, KEY `k` (`a`)", ["PRIMARY", "k"], ["k"]),
        (f"{ID}, UNIQUE KEY `u` (`a`,`b`), KEY `k` (`b`) USING BTREE COMMENT 'x'", ["PRIMARY", "u", "k"], ["u", "k"]),
        (f"{ID}, FULLTEXT KEY `f` (`a`) /*!50100 WITH PARSER `ngram` */", ["PRIMARY", "f"], ["f"]),
        (f"{ID}, SPATIAL INDEX `s` (`a`)", ["PRIMARY", "s"], ["s"]),
        (f"{ID}, KEY `e` ((lower(`a`)))", ["PRIMARY", "e"], ["e"]),
        (f"{ID}, KEY (`a`)", ["PRIMARY", "a"], ["a"]),
        (f"{ID}, UNIQUE `u` (`a`)", ["PRIMARY", "u"], ["u"]),
        (f"{ID}, CONSTRAINT `c` UNIQUE (`a`)", ["PRIMARY", "c"], ["c"]),
        # The column that counts needs its key.
        ("`id` int NOT NULL AUTO_INCREMENT, `a` int, KEY `id` (`id`), KEY `a` (`a`)", ["id", "a"], ["a"]),
        (
            "`a` int, `n` int AUTO_INCREMENT, PRIMARY KEY (`a`,`n`), KEY `n` (`n`), KEY `k` (`a`)",
            ["PRIMARY", "n", "k"],
            ["k"],
        ),
        # Others may stand on a key.
        (f"{ID}, `g` int AS (`a`), KEY `g` (`g`)", ["PRIMARY", "g"], []),
        (f"{ID}, KEY `k` (`a`), CONSTRAINT `f` FOREIGN KEY (`a`) REFERENCES `o` (`id`)", ["PRIMARY", "k"], []),
        ("`id` int PRIMARY KEY, `a` int UNIQUE", ["PRIMARY", "a"], []),
    ],
)
def test_keys_that_nothing_stands_on_are_made_later(body: str, keys: list[str], deferred: list[str]) -> None:
    found = table(body)
    assert list(found.keys) == keys
    assert [key.name for key in found.deferred] == deferred
    created, altered = found.create("`x`", True, {}), "".join(found.add_keys("`x`", found.deferred, {}))
    for key in found.deferred:
        assert key.text not in created
        assert f"ADD {key.text}" in altered
        assert key.text in found.create("`x`", False, {})


@pytest.mark.parametrize(
    ("quoted", "name"),
    [
        ("`a``b`", "a`b"),
        ("`edge cases & 漢字's`", "edge cases & 漢字's"),
        ("`order`", "order"),
        ("plain", "plain"),
        ("`shop`.`t`", "t"),
        ("IF NOT EXISTS `t`", "t"),
    ],
)
def test_a_table_gets_the_name_that_it_is_given(quoted: str, name: str) -> None:
    found = table("`id` int", name, quoted=quoted)
    assert found.name == name
    assert found.create("`new`.`name`", False, {}) == "CREATE TABLE `new`.`name` (\n  `id` int\n) ENGINE=InnoDB"


def test_collations_are_mapped_but_not_in_names_and_texts() -> None:
    old, new = "utf8mb4_0900_ai_ci", "utf8mb4_unicode_ci"
    found = table(
        f"`{old}` varchar(9) COLLATE {old} DEFAULT '{old}', KEY `k` (`{old}`)", options=f"COLLATE={old} COMMENT='{old}'"
    )
    assert found.collations == {old}
    created = found.create("`t`", True, {old: new})
    assert created.count(new) == 2
    assert created.count(f"`{old}`") == 1
    assert created.count(f"'{old}'") == 2


@pytest.mark.parametrize(
    ("options", "has_transactions"),
    [("ENGINE=InnoDB", True), ("", True), ("ENGINE = MyISAM", False), ("engine=Aria", False), ("ENGINE=MEMORY", False)],
)
def test_engines_without_transactions_are_known(options: str, has_transactions: bool) -> None:
    assert table("`id` int", options=options).has_transactions is has_transactions


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no CREATE TABLE"),
        ("CREATE VIEW `t` AS SELECT 1;", "no CREATE TABLE"),
        ("CREATE TABLE `t` (`id` int", "ends in the middle of CREATE TABLE"),
        ("CREATE TABLE `other` (`id` int);", "directory 't' has the structure of the table 'other'"),
        ("CREATE TABLE `t` (`id` int); DROP TABLE `x`;", "another statement in its structure: DROP"),
    ],
)
def test_what_is_no_structure_of_the_table_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidBackupError, match=said):
        GRAMMAR.parse_table({"structure.sql": text}, "t", "")
