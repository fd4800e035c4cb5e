# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Data that do not fit their table: MySQL would change most of them without an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._base.errors import BackupError
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.model import Null
from restores import MySQLTarget, restore

#: The type of a column, and a value that it cannot have.
DAMAGE = [
    ("int NOT NULL", "x"),
    ("int NOT NULL", "1x"),
    ("int NOT NULL", "99999999999"),
    ("int unsigned NOT NULL", "-1"),
    ("int NOT NULL", "\\N"),
    ("tinyint NOT NULL", "128"),
    ("decimal(4,2) NOT NULL", "100.00"),
    ("decimal(4,2) NOT NULL", "1.005"),
    ("double NOT NULL", "1e999"),
    ("varchar(3) NOT NULL", "abcd"),
    ("varchar(3) NOT NULL", "\\N"),
    ("varchar(9) CHARACTER SET latin1 NOT NULL", "漢"),
    ("date NOT NULL", "2024-02-30"),
    ("datetime NOT NULL", "yesterday"),
    ("time NOT NULL", "900:00:00"),
    ("timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP", "2050-01-01 00:00:00"),
    ("timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP", "\\N"),
    ("year NOT NULL", "3000"),
    ("enum('a','b') NOT NULL", "c"),
    ("set('a','b') NOT NULL", "a,c"),
    ("json NOT NULL", '{"a":'),
    ("varbinary(4) NOT NULL", "0g"),
    ("varbinary(4) NOT NULL", "0ff"),
    ("varbinary(4) NOT NULL", "0001020304"),
    ("bit(1) NOT NULL", "02"),
    ("int NOT NULL AUTO_INCREMENT UNIQUE", "\\N"),
    ("varchar(9) NOT NULL UNIQUE", "same"),
]


@pytest.mark.parametrize(("column", "value"), DAMAGE)
def test_a_value_that_does_not_fit_is_found(mysql_server: Any, tmp_path: Path, column: str, value: str) -> None:
    table = tmp_path / "backup" / "shop" / "t"
    (table / "data").mkdir(parents=True)
    (table / "structure.sql").write_text(f"CREATE TABLE `t` (`id` int NOT NULL, `x` {column}, PRIMARY KEY (`id`));")
    good = b"1,same\n" if "UNIQUE" in column and "varchar" in column else b""
    quoted = value if value == "\\N" else '"{}"'.format(value.replace('"', '""'))
    (table / "data" / "0.csv").write_bytes(good + f"2,{quoted}\n".encode())
    target = MySQLTarget(mysql_server, time_zone="+00:00")
    with pytest.raises(BackupError):
        restore(target, tmp_path / "backup", null=Null.BACKSLASH_N, has_escapes=True, samples=2)


def test_null_for_a_number_is_found_where_no_sample_is(mysql_server: Any, tmp_path: Path) -> None:
    table = tmp_path / "backup" / "shop" / "t"
    (table / "data").mkdir(parents=True)
    (table / "structure.sql").write_text("CREATE TABLE `t` (`id` int NOT NULL AUTO_INCREMENT PRIMARY KEY, `x` int);")
    (table / "data" / "0.csv").write_bytes(b"1,1\n2,2\n\\N,3\n4,4\n5,5\n")
    with pytest.raises(BackupError, match=r"shop\.t, records 1 to 5"):
        restore(MySQLTarget(mysql_server), tmp_path / "backup", samples=2)
