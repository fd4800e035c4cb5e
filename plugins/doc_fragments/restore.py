# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # Options of the modules that restore. The code: module_utils/_modules/restore.py
    DOCUMENTATION = r"""
options:
  src:
    description:
      - The backup on the managed host - the downloaded archive (C(.tar.gz), C(.tar.zst) or C(.tar)), or the directory that it was extracted
        into. Use an absolute path.
      - An archive is restored without extracting it to the disk.
    type: path
    required: true
  databases:
    description:
      - The databases to restore, by their names in the backup. By default, all of them.
    type: list
    elements: str
    default: []
  tables:
    description:
      - The tables to restore, by their names in the backup, as C(database.table), and for PostgreSQL as C(database.schema.table). By
        default, all of them. A name that is not in the backup is an error.
      - V(*), V(?) and V([…]) are patterns, as in V(shop.order_*). A name of a database means all of its tables.
    type: list
    elements: str
    default: []
  exclude:
    description:
      - The tables to leave out, written like O(tables).
    type: list
    elements: str
    default: []
  on_existing:
    description:
      - What to do if a table exists that this restore did not create.
      - V(error) - fail and name these tables. Nothing is changed. An earlier restore of another backup, or with other options that change
        which tables there are or what is in them, counts as another restore.
      - V(skip) - leave these tables as they are, and restore the others. RV(skipped_tables) lists them. The next run looks at them again.
      - V(replace) - load the tables under other names, verify them, and then replace the old ones in one step. The old ones are kept under
        other names, see RV(replaced). In MySQL, tables are replaced. In PostgreSQL, the whole database is replaced, and must have no other
        sessions at that moment. The new database does not have what backups do not contain, such as views.
      - This is not about tables of an earlier, interrupted run of the same restore. They are always continued.
      - A database that has no such table is used as it is, also if O(rename) names it.
    type: str
    default: error
    choices: [error, skip, replace]
  parallel:
    description:
      - The number of connections that create tables and load data at the same time, from V(1) to V(32). More than V(4) rarely helps.
    type: int
    default: 4
  piece_size:
    description:
      - The amount of data that one transaction loads, from V(64KB) to V(64MB). In bytes, or with a unit, such as V(4MB), which is 4 times
        1024² bytes. Units such as KiB are not known.
      - Each connection needs memory for about three of them.
      - A restore that is continued keeps the size with which it began.
    type: bytes
    default: 2MB
  defer_indexes:
    description:
      - When to create the secondary indexes of a table.
      - V(auto) - after the data, if the table has at least 16 MiB of data. For smaller tables, that would take longer.
      - V(always) - after the data.
      - V(never) - together with the table.
    type: str
    default: auto
    choices: [auto, always, never]
  csv_null:
    description:
      - How NULL is written in CSV files, always without quotes. The service does not document it.
      - V(auto) - find it in the data. If it is ambiguous, the module fails before it changes anything, and shows why.
      - V(backslash_n) - as V(\\N).
      - V(word) - as V(NULL).
      - V(empty) - as an empty field.
    type: str
    default: auto
    choices: [auto, backslash_n, word, empty]
  sample:
    description:
      - The number of records of each data file that are read back from the database and compared, from V(2) to V(10000). The first
        and the last record are always among them.
    type: int
    default: 10
  checksum:
    description:
      - Whether to compute a checksum of each table at the end. It takes about as long as reading the table.
      - The backup has no checksum to compare it with. Use it to compare two restores on servers of the same version.
    type: bool
    default: false
  show_data:
    description:
      - Whether error messages may contain values of rows. Servers quote them, for example in C(Duplicate entry '…' for key).
    type: bool
    default: false
"""
