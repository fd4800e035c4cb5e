#!/usr/bin/python
# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dbs_restore_mysql
short_description: Restore a downloaded database backup of Alibaba Cloud into MySQL or MariaDB
version_added: 1.0.0
description:
  - Restores the download of an RDS MySQL or PolarDB for MySQL backup, in the format csv or SQL, into a MySQL server (5.7 or newer) or a
    MariaDB server (10.6 or newer), and verifies it.
  - The module works in two passes. The first one reads the whole backup and changes nothing. It finds the tables, counts the records and
    looks for damage, so that most errors appear before the server is changed. The second pass loads the data in pieces, straight from the
    archive. An archive is not extracted to the disk.
  - Each piece is loaded in one transaction, which also notes in the database that the piece is loaded. After a failure, run the module
    again - it continues where it stopped. No row is lost, and none is loaded twice.
  - At the end, every table is verified. The number of records in the backup must be the number of rows that the server reported and the
    number of rows in the table. Sampled records are read back and compared by value. All keys of the structure must exist. If anything
    differs, the module fails.
  - A backup that is already restored and verified is not restored again. The module then only counts the rows.
  - During the restore, the module prints a line on the controller about every O(progress_interval).
  - >-
    Options by topic. Backup and selection: O(src), O(databases), O(tables), O(exclude), O(rename), O(on_existing). Server:
    O(login_host), O(login_port), O(login_unix_socket), O(login_user), O(login_password), O(config_file), O(ca_cert), O(client_cert), O(client_key),
    O(check_hostname), O(connect_timeout). Data: O(csv_null), O(csv_escape), O(time_zone), O(sql_mode), O(collation_map). Speed: O(parallel), O(piece_size),
    O(defer_indexes), O(binlog), O(local_infile), O(redo_log). Verification and messages: O(sample), O(checksum),
    O(show_data). Progress: O(progress), O(progress_interval).
options:
  rename:
    description:
      - New names. Keys are names in the backup, of databases or of tables as C(database.table). Values are the names on the server,
        of at most 64 characters.
      - It does not work with the format SQL, whose files contain the names.
    type: dict
    default: {}
  login_user:
    description:
      - The name of the user on the database server.
    type: str
  login_password:
    description:
      - The password of the user.
    type: str
  login_host:
    description:
      - The host of the database server. By default, that of O(config_file), or else V(localhost).
    type: str
  login_port:
    description:
      - The port of the database server. By default, that of O(config_file), or else V(3306).
    type: int
  login_unix_socket:
    description:
      - The path of the socket of a server on the managed host. It is used in place of O(login_host).
    type: path
  config_file:
    description:
      - An option file of MySQL. User, password, host, port and socket are taken from its section C([client]) where no option sets them.
    type: path
  ca_cert:
    description:
      - A file with the certificates of the authorities that sign the server's certificate. The connection then uses TLS,
        and a server without it is refused.
    type: path
    aliases: [ssl_ca]
  client_cert:
    description:
      - A file with the certificate of the client, for TLS.
    type: path
    aliases: [ssl_cert]
  client_key:
    description:
      - A file with the key of the client, for TLS. It needs O(client_cert).
    type: path
    aliases: [ssl_key]
  check_hostname:
    description:
      - Whether to check that the server's certificate is for O(login_host). V(true) needs O(ca_cert). By default, this is checked if
        O(ca_cert) is set.
    type: bool
  connect_timeout:
    description:
      - How long to wait for the connection, in seconds, from V(1) to V(3600).
    type: int
    default: 30
  csv_escape:
    description:
      - Whether a backslash in CSV files escapes the next character. The service does not document it.
      - V(auto) - find it in the data. If it is ambiguous, the module fails before it changes anything, and shows why.
      - V(backslash) - it does. For example, V(\\n) is a line break.
      - V(none) - a backslash is a character like any other.
    type: str
    default: auto
    choices: [auto, backslash, none]
  time_zone:
    description:
      - The time zone of values in TIMESTAMP columns, such as V(+08:00) or V(UTC). By default, that of the server.
      - The backup does not say which time zone that is. If it has such columns and this option is not set, the module warns.
    type: str
  sql_mode:
    description:
      - SQL modes that a server needs for this backup, in addition to those of the module, which are C(STRICT_ALL_TABLES),
        C(NO_AUTO_VALUE_ON_ZERO) and C(NO_ENGINE_SUBSTITUTION).
      - V(ALLOW_INVALID_DATES) - take dates such as 31 February, which are in old data. Zero dates need no mode.
      - V(NO_ZERO_DATE), V(NO_ZERO_IN_DATE) - refuse zero dates, and dates with a month or a day of 0.
      - V(HIGH_NOT_PRECEDENCE), V(NO_UNSIGNED_SUBTRACTION), V(PIPES_AS_CONCAT), V(REAL_AS_FLOAT) - for expressions of generated columns
        and types that were made with them.
    type: list
    elements: str
    default: []
    choices:
      - ALLOW_INVALID_DATES
      - HIGH_NOT_PRECEDENCE
      - NO_UNSIGNED_SUBTRACTION
      - NO_ZERO_DATE
      - NO_ZERO_IN_DATE
      - PIPES_AS_CONCAT
      - REAL_AS_FLOAT
  collation_map:
    description:
      - Collations that the server does not have, and their replacements, such as V({"utf8mb4_0900_ai_ci":"utf8mb4_unicode_ci"}).
    type: dict
    default: {}
  binlog:
    description:
      - Whether the server writes what is restored to its binary log. V(false) needs a privilege, and replicas then do not get the data.
    type: bool
    default: true
  local_infile:
    description:
      - CSV files are loaded by C(LOAD DATA LOCAL), which the server must allow by its variable C(local_infile).
      - V(require) - fail if the server does not allow it.
      - V(set) - allow it during the restore, and turn it off again at the end. This needs a privilege. If the run is killed, the next
        run turns it off.
    type: str
    default: require
    choices: [require, set]
  redo_log:
    description:
      - What to do with the redo log of MySQL, which the server writes in addition to the data.
      - V(keep) - leave it as it is.
      - V(disable) - disable it during the restore, and enable it at the end. The server then writes much less. B(If it
        crashes meanwhile, all of its data are lost), so this is refused if the server has other databases. It needs MySQL 8.0.21 or newer
        and a privilege. If the run is killed, the next run enables it.
    type: str
    default: keep
    choices: [keep, disable]
extends_documentation_fragment:
  - apsaradb.backup.restore
  - apsaradb.backup.progress
  - apsaradb.backup.progress.job
  - apsaradb.backup.attributes
attributes:
  check_mode:
    support: full
    details:
      - The module reads the whole backup, connects to the server and checks everything that it can check without a change. The result says
        for each table what would be restored.
      - If O(src) does not exist, the module only warns, as an earlier task may create it.
  diff_mode:
    support: full
    details: Shows the tables and their numbers of rows before and after.
  idempotent:
    support: full
    details:
      - Nothing is done if the same backup was restored with the same options, and all of its tables still have the same number of rows.
  async:
    description: Supports being used with the C(async) keyword.
    support: full
requirements:
  - On the managed host - Python 3.9 or newer
  - On the managed host - PyMySQL or mysqlclient
  - On the managed host - zstandard, for C(.tar.zst), unless Python is 3.14 or newer
notes:
  - The progress of restores is kept in the database C(apsaradb_restore) on the server. Drop it when you do not want to continue or repeat
    a restore.
  - C(LOAD DATA LOCAL) lets a server ask for any file that the user of the module can read. So the module uses it only over a socket, to this
    host, or over TLS with O(ca_cert).
  - On the databases with the tables, the user needs the privileges C(SELECT), C(INSERT) and C(CREATE), for keys after the data C(ALTER) and
    C(INDEX), for tables without transactions C(DROP), and to replace tables C(ALTER), C(DROP) and C(TRIGGER). On the database
    C(apsaradb_restore), the user needs C(SELECT), C(INSERT), C(UPDATE), C(DELETE), C(CREATE) and C(CREATE TEMPORARY TABLES). The module
    names what is missing before it changes anything.
  - Backups do not contain foreign keys, views, routines, triggers and CHECK constraints. See RV(left_out).
author:
  - apsaradb.backup maintainers (@apsaradb-backup)
seealso:
  - module: apsaradb.backup.dbs_download_file
  - module: apsaradb.backup.dbs_restore_postgresql
  - module: apsaradb.backup.dbs_download_extract
"""

EXAMPLES = r"""
- name: Restore a backup by the socket of the server
  apsaradb.backup.dbs_restore_mysql:
    src: /backup/dt-a1b2c3d4e5f0.tar.gz
    login_unix_socket: /run/mysqld/mysqld.sock
  become: true

- name: Restore one database under another name, and keep the original
  apsaradb.backup.dbs_restore_mysql:
    src: /backup/dt-a1b2c3d4e5f0.tar.gz
    databases: [shop]
    rename:
      shop: shop_test
    login_host: db1.example.com
    login_user: restore
    login_password: "{{ restore_password }}"
    ca_cert: /etc/ssl/certs/database-ca.pem
  register: restored

- name: Show what was restored
  ansible.builtin.debug:
    msg: "{{ restored.totals.rows }} rows in {{ restored.totals.tables }} tables. Not in the backup: {{ restored.left_out | join(', ') }}"
"""

RETURN = r"""
restore_id:
  description: The ID of this restore. The same backup with the same options has the same ID, so that a run can be continued.
  returned: if the backup could be read
  type: str
  sample: 3f1c0a9be2d47715
state:
  description: How far the restore is - V(planned), V(loading), V(swapping) or V(done).
  returned: if the backup could be read
  type: str
  sample: done
src:
  description: The backup.
  returned: if the backup could be read
  type: str
  sample: /backup/dt-a1b2c3d4e5f0.tar.gz
server:
  description: The database server and its version.
  returned: if the server was reached
  type: str
  sample: MariaDB 10.11.14
databases:
  description: The names of the restored databases, as they are on the server.
  returned: if the backup could be read
  type: list
  elements: str
  sample: [shop]
tables:
  description: The tables of the restore.
  returned: if the backup could be read
  type: list
  elements: dict
  contains:
    database:
      description: The name of the database on the server.
      type: str
      sample: shop
    schema:
      description: The schema. Always V(null), as MySQL has none.
      type: str
      sample: null
    name:
      description: The name of the table on the server.
      type: str
      sample: orders
    state:
      description: How far the table is - V(planned), V(loading), V(indexing), V(verifying) or V(done).
      type: str
      sample: done
    rows_expected:
      description: The number of records in the data files.
      type: int
      sample: 250000
    rows_reported:
      description: The number of rows that the server reported as loaded.
      type: int
      sample: 250000
    rows_found:
      description: The number of rows that were counted in the table. V(null) before it is verified.
      type: int
      sample: 250000
    bytes:
      description: The size of the data files, in bytes. V(0) if an earlier run restored the table.
      type: int
      sample: 83886080
    seconds:
      description: The time that connections spent on this table, in seconds.
      type: float
      sample: 6.41
    warnings:
      description: The number of warnings of the server. A table with warnings is not restored, so this is V(0) when the restore is done.
      type: int
      sample: 0
    sampled:
      description: The number of records that were read back and compared. V(null) before it is verified, or if an earlier run restored it.
      type: int
      sample: 40
    key_names:
      description:
        - The names of the keys and constraints that exist. V(null) before they are verified, or if an earlier run restored the table.
      type: list
      elements: str
      sample: [PRIMARY, customer]
    checksum:
      description: The checksum of the table. V(null) without O(checksum), or if an earlier run restored the table.
      type: str
      sample: "2814459637"
  sample:
    - database: shop
      schema: null
      name: orders
      state: done
      rows_expected: 250000
      rows_reported: 250000
      rows_found: 250000
      bytes: 83886080
      seconds: 6.41
      warnings: 0
      sampled: 40
      key_names: [PRIMARY, customer]
      checksum: null
skipped_tables:
  description: The tables that existed and were left as they are. See O(on_existing).
  returned: if the backup could be read
  type: list
  elements: str
  sample: []
totals:
  description: Totals of all tables.
  returned: if the backup could be read
  type: dict
  contains:
    tables:
      description: The number of tables.
      type: int
      sample: 203
    rows:
      description: The number of records in the data files.
      type: int
      sample: 600112
    bytes:
      description: The size of the data files, in bytes.
      type: int
      sample: 179306496
    bytes_loaded:
      description: How much of it this run loaded, in bytes.
      type: int
      sample: 179306496
    bytes_per_second:
      description: The average speed of this run, in bytes per second.
      type: int
      sample: 21030000
  sample:
    tables: 203
    rows: 600112
    bytes: 179306496
    bytes_loaded: 179306496
    bytes_per_second: 21030000
dialect:
  description: How the CSV files of the backup write values. V(null) if an earlier run restored it.
  returned: if the backup could be read
  type: dict
  contains:
    csv_null:
      description: How NULL is written. See O(csv_null).
      type: str
      sample: backslash_n
    csv_escape:
      description: Whether a backslash escapes the next character - V(backslash) or V(none).
      type: str
      sample: backslash
  sample:
    csv_null: backslash_n
    csv_escape: backslash
replaced:
  description: The names that replaced tables have now, by their names before. Drop them when you do not need them any more.
  returned: if the backup could be read
  type: dict
  sample: {shop.orders: shop_old_3f1c0a9b.orders}
resumed_from:
  description: The number of pieces that an earlier, interrupted run had loaded.
  returned: if the backup could be read
  type: int
  sample: 0
left_out:
  description: What backups of the service do not contain, and what is therefore not restored.
  returned: if the backup could be read
  type: list
  elements: str
  sample: [foreign keys, views, routines, triggers, CHECK constraints]
advice:
  description:
    - Settings of the server that would make the restore faster.
    - Also the databases and tables that have the character set utf8mb4 without a collation in the backup. The server takes its default for
      them, which is utf8mb4_general_ci in MySQL 5.7 and MariaDB 10, and utf8mb4_0900_ai_ci since MySQL 8.0.
  returned: if the server was reached
  type: list
  elements: str
  sample: []
elapsed:
  description: The duration of the run, in seconds.
  returned: if the backup could be read
  type: float
  sample: 28.731
error:
  description:
    - The error, for programs. RV(ignore:msg) is the same error as a text.
    - V(configuration) - an option is wrong, or a package is missing.
    - V(archive) - the source cannot be read, or is damaged.
    - V(backup) - the source is not a backup that can be restored, or something in it is ambiguous.
    - V(database_connection) - the server cannot be reached, or the connection broke.
    - V(database) - the server refused a statement.
    - V(verification) - the loaded data are not those of the backup.
    - V(conflict) - a table exists, or another run is at work.
    - V(interruption) - the module was stopped.
  returned: failure, unless Ansible itself refuses the options
  type: dict
  contains:
    kind:
      description: The kind of the error.
      type: str
      sample: database
    code:
      description: The error code of the server.
      returned: if the kind is V(database)
      type: str
      sample: "1062"
    message:
      description: The error message of the server.
      returned: if the kind is V(database)
      type: str
      sample: Duplicate entry … for key 'PRIMARY'
  sample:
    kind: database
    code: "1062"
    message: Duplicate entry … for key 'PRIMARY'
"""

from ansible_collections.apsaradb.backup.plugins.module_utils._modules.dbs_restore_mysql import (
    RestoreMySQL,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.runner import (
    run_module,
)


def main() -> None:
    run_module(RestoreMySQL)


if __name__ == "__main__":
    main()
