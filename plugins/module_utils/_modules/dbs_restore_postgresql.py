# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The module ``dbs_restore_postgresql``: from its options to its result."""

from __future__ import annotations

import re
import typing as t

from .._base.errors import ConfigurationError
from .._base.text import hide
from .._plugin.checks import Choices, Options, check_choice, check_range
from .._plugin.runner import ModuleSpec
from .._restore.postgresql_connection import PostgreSQLLogin
from .._restore.postgresql_creation import PostgreSQLOptions
from .._restore.postgresql_grammar import PostgreSQLGrammar
from .._restore.postgresql_server import PostgreSQLServer
from .restore import RESTORE_SPEC, RestoreRunner, check_file

_SSL_MODES = Choices(
    ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
)

_UNITS = ("kB", "MB", "GB", "TB")
#: What all versions of the server take, in kB.
_LEAST_MEMORY, _MOST_MEMORY = 1 << 10, 2**31 - 1

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    **RESTORE_SPEC,
    "login_user": {"type": "str", "default": "postgres", "aliases": ["login"]},
    "login_password": {"type": "str", "no_log": True},
    "login_host": {"type": "str", "aliases": ["host"]},
    "login_port": {"type": "int", "default": 5432, "aliases": ["port"]},
    "login_unix_socket": {"type": "path", "aliases": ["unix_socket"]},
    "login_db": {"type": "str", "default": "postgres"},
    "ssl_mode": {"type": "str", "default": "prefer", "choices": _SSL_MODES},
    "ca_cert": {"type": "path", "aliases": ["ssl_rootcert"]},
    "ssl_cert": {"type": "path"},
    "ssl_key": {"type": "path"},
    "connect_params": {"type": "dict", "default": {}},
    "session_role": {"type": "str"},
    "connect_timeout": {"type": "int", "default": 30},
    "owner": {"type": "str"},
    "extensions": {"type": "list", "elements": "str", "default": []},
    "maintenance_work_mem": {"type": "str", "default": "256MB"},
}


class RestorePostgreSQL(RestoreRunner):
    SPEC = ModuleSpec(ARGUMENT_SPEC)
    GRAMMAR = PostgreSQLGrammar
    LEFT_OUT = ("CHECK constraints", "views", "functions", "triggers")

    def data_options_of(self, options: Options) -> dict[str, t.Any]:
        return {
            "owner": options["owner"],
            "session_role": options["session_role"],
        }

    def server_of(self, options: Options) -> PostgreSQLServer:
        for old in options["rename"]:
            if "." in old:
                raise ConfigurationError(
                    f"rename has {old!r}: give names of databases, as tables of PostgreSQL keep theirs."
                )
        return PostgreSQLServer(
            _login(options),
            PostgreSQLOptions(
                options["owner"] or "",
                tuple(options["extensions"]),
                _memory(options["maintenance_work_mem"]),
                options["show_data"],
            ),
        )


def _login(options: Options) -> PostgreSQLLogin:
    mode = check_choice("ssl_mode", options["ssl_mode"], _SSL_MODES)
    if options["ca_cert"] and mode in ("disable", "allow", "prefer"):
        raise ConfigurationError(
            f"ca_cert is set, but ssl_mode is {mode}, with which no certificate is checked: set it to verify-full."
        )
    for name, needed in (("ssl_cert", "ssl_key"), ("ssl_key", "ssl_cert")):
        if options[name] and not options[needed]:
            raise ConfigurationError(
                f"{name} is set without {needed}, and would have no effect: set both."
            )
    return PostgreSQLLogin(
        login_user=options["login_user"] or "",
        login_password=options["login_password"] or "",
        login_host=options["login_host"] or "",
        login_port=check_range(options, "login_port", 1, 65535),
        login_unix_socket=options["login_unix_socket"] or "",
        login_db=options["login_db"],
        ssl_mode=mode,
        ca_cert=check_file(options, "ca_cert") or "",
        ssl_cert=check_file(options, "ssl_cert") or "",
        ssl_key=check_file(options, "ssl_key") or "",
        connect_params=_parameters(options["connect_params"]),
        session_role=options["session_role"] or "",
        connect_timeout=check_range(
            options, "connect_timeout", 1, 3600, " seconds"
        ),
    )


def _parameters(given: t.Mapping[str, t.Any]) -> dict[str, t.Union[str, int]]:
    for name, value in given.items():
        if "pass" in name.lower() and name != "passfile":
            hide(str(value))
            raise ConfigurationError(
                f"connect_params has {name!r}, which Ansible would show: use login_password, or passfile."
            )
        if name == "dbname":
            raise ConfigurationError(
                "connect_params has 'dbname': use login_db."
            )
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise ConfigurationError(
                f"connect_params gives {name!r} the value {value!r}: give a text or a whole number."
            )
    return dict(given)


def _memory(value: str) -> str:
    found = re.fullmatch(r"([0-9]{1,9})(kB|MB|GB|TB)", value)
    if not found:
        raise ConfigurationError(
            f"maintenance_work_mem {value!r} is not an amount of memory: give a number with kB, MB, GB or TB, such as 256MB."
        )
    size = int(found[1]) << 10 * _UNITS.index(found[2])
    if not _LEAST_MEMORY <= size <= _MOST_MEMORY:
        raise ConfigurationError(
            f"maintenance_work_mem {value!r} is out of range: give 1MB to 2047GB."
        )
    return value
