# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Variables of a MySQL server: those that connections set for themselves, and those that a restore cannot work with."""

from __future__ import annotations

import typing as t

from .._base.errors import ConfigurationError
from . import tuning
from .model import Plan
from .mysql_connection import Connection
from .mysql_options import MySQLOptions

#: Seconds that a connection may be silent, while others load: the longest that servers take.
_WAIT_TIMEOUT = 31_536_000
#: Seconds that the server waits for the next bytes of a piece. They are in memory, but the machine may be slow.
_NET_TIMEOUT = 3600

#: What servers may have in another way, for all connections or those of a user. Nothing of it is for other connections.
_SETTINGS: dict[str, t.Union[str, int]] = {
    # A table that names no engine has transactions, as the plan takes it to have.
    "default_storage_engine": "InnoDB",
    # Tables come in any order, and the backup was consistent.
    "foreign_key_checks": 0,
    # Without them, MariaDB finds a duplicate only at the end of the transaction, and says that something is not permitted.
    "unique_checks": 1,
    # Limits for people who make a mistake. The first would cut results silently.
    "sql_select_limit": 2**64 - 1,
    "sql_safe_updates": 0,
    "sql_big_selects": 1,
    # Otherwise a COMMIT could end the connection.
    "completion_type": 0,
    "wait_timeout": _WAIT_TIMEOUT,
    "net_read_timeout": _NET_TIMEOUT,
    "net_write_timeout": _NET_TIMEOUT,
    # Of tables as a whole. The server's own limit is a day or a year.
    "lock_wait_timeout": tuning.LOCK_TIMEOUT,
}
#: Strict, as what does not fit must be an error, but for zero dates, which are in old data.
_SQL_MODES = (
    "STRICT_ALL_TABLES",
    "NO_AUTO_VALUE_ON_ZERO",
    "NO_ENGINE_SUBSTITUTION",
)
#: Limits of a statement or a transaction, which only some servers have. A long one is no sign of a mistake here.
_LIMITS = (
    "max_execution_time",
    "max_statement_time",
    "idle_transaction_timeout",
    "idle_readonly_transaction_timeout",
    "idle_write_transaction_timeout",
)
_READ_ONLY = (
    "read_only",
    "super_read_only",
    "innodb_read_only",
    "transaction_read_only",
    "tx_read_only",
)
_OFF = ("0", "OFF")
#: Whether the server takes no table without a primary key, and whether it adds one to them by itself.
_PRIMARY_KEYS = (
    "sql_require_primary_key",
    "sql_generate_invisible_primary_key",
)
#: Bytes of a packet. Drivers send a file in parts of 16 KiB, and names alone can need some.
_MIN_PACKET = 64 << 10


def prepare(connection: Connection, options: MySQLOptions) -> None:
    """Give a connection the settings that the restore needs."""
    # Some servers do not take what clients say of it when they connect.
    connection.execute("SET NAMES utf8mb4")
    _set(
        connection,
        {"sql_mode": ",".join((*_SQL_MODES, *options.sql_modes)), **_SETTINGS},
    )
    _set(connection, dict.fromkeys(_variables(connection, _LIMITS), 0))
    if options.time_zone:
        connection.execute("SET SESSION time_zone = %s", [options.time_zone])
    if not options.writes_binlog:
        connection.execute("SET SESSION sql_log_bin = 0")


def _set(
    connection: Connection, settings: t.Mapping[str, t.Union[str, int]]
) -> None:
    words = ", ".join(f"SESSION {name} = %s" for name in settings)
    connection.execute(f"SET {words}", list(settings.values()))


def raise_variable(connection: Connection, name: str, value: int) -> None:
    """Set a variable that the server may not know, but never lower than it is."""
    if int(_variables(connection, [name]).get(name, value)) < value:
        _set(connection, {name: value})


def check_writable(connection: Connection) -> None:
    """Refuse a server that is read-only, also for a user who could write to it: it is a replica, or locked."""
    for name, value in _variables(connection, _READ_ONLY).items():
        if value.upper() not in _OFF:
            raise ConfigurationError(
                f"the server is read-only by its variable {name}, which is {value}: restore on the primary server, "
                "or set the variable to OFF."
            )


def check_variables(connection: Connection, plan: Plan) -> None:
    """Refuse what would stop the restore halfway."""
    names = (*_PRIMARY_KEYS, "max_allowed_packet")
    known = _variables(connection, names)
    requires, generates = (
        known.get(name, "OFF") not in _OFF for name in _PRIMARY_KEYS
    )
    if requires and not generates:
        for one in plan.tables:
            if not one.structure.primary_key:
                raise ConfigurationError(
                    f"{one.target} has no primary key, and the variable sql_require_primary_key of the server is ON: "
                    "set it to OFF for the time of the restore, or leave the table out by exclude."
                )
    if int(known["max_allowed_packet"]) < _MIN_PACKET:
        raise ConfigurationError(
            f"the variable max_allowed_packet of the server is {known['max_allowed_packet']}: set it to 16777216 or more."
        )


def _variables(
    connection: Connection, names: t.Iterable[str]
) -> dict[str, str]:
    """Return those variables that the server knows, as this connection has them."""
    listed = ", ".join(f"'{name}'" for name in names)
    rows = connection.query(
        f"SHOW SESSION VARIABLES WHERE variable_name IN ({listed})"
    )
    return {str(name): str(value) for name, value in rows}
