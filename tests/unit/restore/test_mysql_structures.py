# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Structures of MySQL as servers write them, damaged ones, and that real servers take what is made of them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.errors import InvalidBackupError
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.model import ColumnKind
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.mysql_grammar import MySQLGrammar
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.mysql_table import MySQLTable
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.mysql_tokens import quote

GRAMMAR = MySQLGrammar()
ORDERS = """\
-- the orders; (of all)
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `orders` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT COMMENT 'it''s a, (number) \\'',
  `state` enum('a)','b,c') CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci DEFAULT 'a)',
  `hash` varbinary(32) DEFAULT NULL,
  `total` decimal(18,2) NOT NULL,
  `data` json DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `hash` (`hash`(8)) USING BTREE COMMENT 'KEY `x` (y)',
  KEY `total` (`total`,`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci COMMENT='COLLATE utf8mb4_0900_ai_ci; x';
"""


def parsed(text: str, name: str = "t") -> MySQLTable:
    table = GRAMMAR.parse_table({"structure.sql": text}, name, "")
    assert isinstance(table, MySQLTable)
    return table


def of_lines(*lines: str, options: str = "ENGINE=InnoDB") -> MySQLTable:
    return parsed("CREATE TABLE `t` (\n  {}\n) {};\n".format(",\n  ".join(lines), options))


def test_a_database_without_a_name_is_damage() -> None:
    with pytest.raises(InvalidBackupError, match="'shop' does not name a database"):
        GRAMMAR.parse_database("CREATE DATABASE", "shop")


def test_a_table_is_parsed() -> None:
    table = parsed(ORDERS, "orders")
    kinds = {column.name: column.kind for column in table.columns}
    assert kinds == {
        "id": ColumnKind.OTHER,
        "state": ColumnKind.TEXT,
        "hash": ColumnKind.BINARY,
        "total": ColumnKind.OTHER,
        "data": ColumnKind.OTHER,
    }
    assert table.primary_key == ("id",)
    assert table.keys == ("PRIMARY", "hash", "total")
    assert [key.name for key in table.deferred] == ["hash", "total"]
    assert table.collations == {"utf8mb4_0900_ai_ci"}
    assert table.has_transactions


@pytest.mark.parametrize("name", ["a`b", "漢字", "select", "a b", "it's", 'q"q', "-- x", "/* x */", "a.b", ",(", "key"])
def test_any_name_is_read(name: str) -> None:
    table = parsed(f"CREATE TABLE {quote(name)} (\n {quote(name)} int,\n KEY {quote(name)} ({quote(name)})\n);", name)
    assert [column.name for column in table.columns] == [name]
    assert table.keys == (name,)
    assert [key.columns for key in table.deferred] == [(name,)]


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE t (id int);",
        "CREATE TABLE IF NOT EXISTS `shop`.`t` (`id` int)",
        "DROP TABLE IF EXISTS `t`;\nCREATE TABLE `t` (`id` int);",
        "create table `t`(`id` int)engine=innodb",
    ],
)
def test_forms_of_create_table(text: str) -> None:
    assert [column.name for column in parsed(text).columns] == ["id"]


@pytest.mark.parametrize(
    ("lines", "deferred"),
    [
        (["`id` int", "PRIMARY KEY (`id`)", "KEY `a` (`id`)"], ["a"]),
        (["`id` int AUTO_INCREMENT", "PRIMARY KEY (`id`)", "KEY `a` (`id`)"], ["a"]),
        (["`id` int AUTO_INCREMENT PRIMARY KEY", "KEY `a` (`id`)"], ["a"]),
        (["`id` int AUTO_INCREMENT", "`x` int", "PRIMARY KEY (`x`)", "KEY `a` (`id`)", "KEY `b` (`x`)"], ["b"]),
        (["`id` int AUTO_INCREMENT", "`x` int", "PRIMARY KEY (`x`,`id`)", "KEY `b` (`x`)", "KEY `a` (`id`)"], ["b"]),
        (["`id` int AUTO_INCREMENT", "`x` int", "KEY `a` (`x`,`id`)", "KEY `b` (`x`)"], ["b"]),
        (["`id` int", "`x` int GENERATED ALWAYS AS (`id` + 1) STORED", "KEY `a` (`id`)"], []),
        (["`id` int", "`x` int AS (`id` + 1) VIRTUAL", "KEY `a` (`id`)"], []),
        (["`id` int", "KEY `a` (`id`)", "CONSTRAINT `f` FOREIGN KEY (`id`) REFERENCES `o` (`id`)"], []),
        (["`id` int", "CONSTRAINT `u` UNIQUE (`id`)"], ["u"]),
        (["`id` int UNIQUE", "KEY `a` (`id`)"], ["a"]),
        (["`a` char(9)", "FULLTEXT KEY `f` (`a`) /*!50100 WITH PARSER `ngram` */ "], ["f"]),
        (["`a` geometry NOT NULL /*!80003 SRID 4326 */", "SPATIAL KEY `g` (`a`)"], ["g"]),
        (["`a` int DEFAULT (cast(1 as signed))", "KEY `lower` ((lower(`a`)))"], ["lower"]),
        (["`a` int", "CHECK (`a` > 1)", "CONSTRAINT `c` CHECK ((`a` > 1)) /*!80016 NOT ENFORCED */"], []),
    ],
)
def test_keys_that_can_wait(lines: list[str], deferred: list[str]) -> None:
    assert [key.name for key in of_lines(*lines).deferred] == deferred


def test_a_structure_that_is_cut_anywhere_is_refused() -> None:
    whole = parsed(ORDERS, "orders")
    end = ORDERS.index(") ENGINE")
    for length in range(end):
        with pytest.raises(InvalidBackupError):
            parsed(ORDERS[:length], "orders")
    assert parsed(ORDERS[: end + 1], "orders").columns == whole.columns


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("CREATE TABLE `other` (`id` int)", "the directory 't' has the structure of the table 'other'"),
        ("CREATE TABLE `t` LIKE `other`", "no CREATE TABLE with columns"),
        ("CREATE TABLE `t` (`id` int,)", "an empty line"),
        ("CREATE TABLE `t` (`id` int, KEY `k`)", "a key without columns"),
        ("CREATE TABLE `t` (`id` int);\nDROP DATABASE mysql;", "another statement in its structure: DROP"),
    ],
)
def test_damaged_structures_are_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidBackupError, match=message):
        parsed(text)


#: Tables as servers write them, which both must take with keys in place and later.
TABLES: dict[str, list[str]] = {
    "full text twice": [
        "`id` int NOT NULL",
        "`a` text",
        "`b` text",
        "PRIMARY KEY (`id`)",
        "FULLTEXT KEY `fa` (`a`)",
        "FULLTEXT KEY `fb` (`a`,`b`) COMMENT 'both'",
    ],
    "spatial": ["`id` int NOT NULL", "`g` geometry NOT NULL", "PRIMARY KEY (`id`)", "SPATIAL KEY `g` (`g`)"],
    "prefixes": [
        "`id` int NOT NULL AUTO_INCREMENT",
        "`a` varchar(700) DEFAULT NULL",
        "`b` blob",
        "KEY `id` (`id`)",
        "UNIQUE KEY `a``b` (`a`(10),`b`(3)) USING BTREE COMMENT 'it''s (unique)'",
    ],
    "comments that are executed": [
        "`id` int NOT NULL",
        "`a` varchar(20) DEFAULT NULL /*!80023 INVISIBLE */",
        "PRIMARY KEY (`id`)",
        "KEY `a` (`a`) /*!80000 INVISIBLE */",
    ],
    "unique without primary": ["`id` int NOT NULL", "UNIQUE KEY `one` (`id`)", "KEY `two` (`id`)"],
}


@pytest.mark.parametrize("name", TABLES)
def test_servers_make_keys_later_as_at_once(mysql_server: Any, name: str) -> None:
    check_keys(mysql_server, of_lines(*TABLES[name]))


def test_functional_keys_are_made_later(mysql: Any) -> None:
    check_keys(mysql, of_lines("`id` int NOT NULL", "`a` varchar(20)", "KEY `low` ((lower(`a`)),`id` DESC)"))


def check_keys(server: Any, table: MySQLTable) -> None:
    assert table.deferred
    made = {}
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE x")
        for defers in (False, True):
            cursor.execute(table.create("x.t", defers, {}))
            if defers:
                for statement in table.add_keys("x.t", table.deferred, {}):
                    cursor.execute(statement)
            cursor.execute("SHOW CREATE TABLE x.t")
            ((_unused, made[defers]),) = cursor.fetchall()
            cursor.execute("DROP TABLE x.t")
    assert sorted(made[True].replace(",", "").splitlines()) == sorted(made[False].replace(",", "").splitlines())


@pytest.mark.parametrize(
    ("line", "options", "expected"),
    [
        ("`a` text", "DEFAULT CHARSET=utf8mb4", True),
        ("`a` text", "CHARACTER SET = UTF8MB4 COMMENT='COLLATE x'", True),
        ("`a` text", "DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin", False),
        ("`a` text", "COLLATE utf8mb4_bin CHARSET utf8mb4", False),
        ("`a` text", "ENGINE=InnoDB", False),
        ("`a` text", "CHARSET=latin1 COMMENT='CHARSET=utf8mb4'", False),
        ("`a` varchar(9) CHARACTER SET utf8mb4 NOT NULL", "CHARSET=latin1", True),
        ("`a` set('(') CHARACTER SET utf8mb4", "CHARSET=utf8mb4 COLLATE=utf8mb4_bin", True),
        ("`a` varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", "CHARSET=latin1", False),
        ("`a` char(9) CHARACTER SET utf8mb4 AS (`b` COLLATE utf8mb4_bin)", "CHARSET=latin1", True),
        ("`a` char(9) AS (cast(`b` as char charset utf8mb4))", "CHARSET=latin1", False),
        ("`utf8mb4` int, `charset` int, KEY `charset` (`charset`)", "CHARSET=latin1", False),
    ],
)
def test_a_character_set_without_a_collation_is_found(line: str, options: str, expected: bool) -> None:
    assert of_lines(line, options=options).names_no_collation is expected
