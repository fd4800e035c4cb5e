# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The module ``dbs_restore_mysql``: from its options to its result."""

from __future__ import annotations

import typing as t

from .._base.errors import ConfigurationError
from .._plugin.checks import Choices, Options, check_choice, check_range
from .._plugin.runner import ModuleSpec
from .._restore.mysql_driver import Login
from .._restore.mysql_grammar import MySQLGrammar
from .._restore.mysql_options import MySQLOptions
from .._restore.mysql_server import MySQLServer
from .restore import RESTORE_SPEC, RestoreRunner, check_file

_ESCAPES = Choices(("auto", "backslash", "none"))
_LOCAL_INFILE = Choices(("require", "set"))
#: None of them has a server take what does not fit.
_SQL_MODES = Choices(
    (
        "ALLOW_INVALID_DATES",
        "HIGH_NOT_PRECEDENCE",
        "NO_UNSIGNED_SUBTRACTION",
        "NO_ZERO_DATE",
        "NO_ZERO_IN_DATE",
        "PIPES_AS_CONCAT",
        "REAL_AS_FLOAT",
    )
)
_REDO_LOG = Choices(("keep", "disable"))

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    **RESTORE_SPEC,
    "login_user": {"type": "str"},
    "login_password": {"type": "str", "no_log": True},
    "login_host": {"type": "str"},
    "login_port": {"type": "int"},
    "login_unix_socket": {"type": "path"},
    "config_file": {"type": "path"},
    "ca_cert": {"type": "path", "aliases": ["ssl_ca"]},
    "client_cert": {"type": "path", "aliases": ["ssl_cert"]},
    "client_key": {"type": "path", "aliases": ["ssl_key"]},
    "check_hostname": {"type": "bool"},
    "connect_timeout": {"type": "int", "default": 30},
    "csv_escape": {"type": "str", "default": "auto", "choices": _ESCAPES},
    "time_zone": {"type": "str"},
    "sql_mode": {
        "type": "list",
        "elements": "str",
        "default": [],
        "choices": _SQL_MODES,
    },
    "collation_map": {"type": "dict", "default": {}},
    "binlog": {"type": "bool", "default": True},
    "redo_log": {"type": "str", "default": "keep", "choices": _REDO_LOG},
    "local_infile": {
        "type": "str",
        "default": "require",
        "choices": _LOCAL_INFILE,
    },
}


class RestoreMySQL(RestoreRunner):
    SPEC = ModuleSpec(ARGUMENT_SPEC)
    GRAMMAR = MySQLGrammar
    LEFT_OUT = (
        "foreign keys",
        "views",
        "routines",
        "triggers",
        "CHECK constraints",
    )

    def has_escapes(self, options: Options) -> t.Optional[bool]:
        escape = check_choice("csv_escape", options["csv_escape"], _ESCAPES)
        return None if escape == "auto" else escape == "backslash"

    def data_options_of(self, options: Options) -> dict[str, t.Any]:
        return {
            "time_zone": _time_zone(options),
            "collation_map": options["collation_map"],
            "sql_mode": _sql_modes(options),
        }

    def server_of(self, options: Options) -> MySQLServer:
        local_infile = check_choice(
            "local_infile", options["local_infile"], _LOCAL_INFILE
        )
        redo_log = check_choice("redo_log", options["redo_log"], _REDO_LOG)
        return MySQLServer(
            MySQLOptions(
                _login(options),
                _time_zone(options),
                _collation_map(options["collation_map"]),
                options["binlog"],
                local_infile == "set",
                redo_log == "disable",
                options["show_data"],
                _sql_modes(options),
            )
        )


def _login(options: Options) -> Login:
    for name, needed in (
        ("check_hostname", "ca_cert"),
        ("client_key", "client_cert"),
    ):
        if options[name] and not options[needed]:
            raise ConfigurationError(
                f"{name} is set without {needed}, and would have no effect: set both."
            )
    host, port = options["login_host"], options["login_port"]
    if port is not None:
        check_range(options, "login_port", 1, 65535)
    if not options["config_file"]:
        # With the file, a default would hide what it says.
        host, port = host or "localhost", port or 3306
    return Login(
        options["login_user"],
        options["login_password"],
        host,
        port,
        options["login_unix_socket"],
        check_file(options, "config_file"),
        check_file(options, "ca_cert"),
        check_file(options, "client_cert"),
        check_file(options, "client_key"),
        options["check_hostname"],
        check_range(options, "connect_timeout", 1, 3600, " seconds"),
    )


def _time_zone(options: Options) -> t.Optional[str]:
    """Return the time zone. UTC becomes an offset, which servers without names of time zones know as well."""
    zone = (options["time_zone"] or "").strip()
    return "+00:00" if zone.upper() in ("UTC", "GMT", "Z") else zone or None


def _sql_modes(options: Options) -> tuple[str, ...]:
    modes = (
        check_choice("sql_mode", mode, _SQL_MODES)
        for mode in options["sql_mode"]
    )
    return tuple(sorted(set(modes)))


def _collation_map(given: t.Mapping[str, t.Any]) -> dict[str, str]:
    for old, new in given.items():
        # They become part of a statement.
        for name in (old, new):
            if not isinstance(name, str) or not name.replace("_", "").isalnum():
                raise ConfigurationError(
                    f"collation_map has {name!r}: give names of collations, such as utf8mb4_unicode_ci."
                )
    return {old.lower(): new for old, new in given.items()}
