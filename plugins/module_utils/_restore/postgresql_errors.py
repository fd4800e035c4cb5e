# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Refusals by PostgreSQL, told without passwords and without values of rows.

Source: the PostgreSQL documentation, appendix "PostgreSQL Error Codes".
"""

from __future__ import annotations

import re
import typing as t

from .._base.errors import BackupError
from .._base.text import quoted
from .errors import DatabaseConnectionError, DatabaseError

#: Classes of codes, and codes, of a connection that cannot be made or is lost.
_NO_CONNECTION = ("08", "57P01", "57P02", "57P03", "57P05")
#: A login that is refused.
_REFUSED_LOGIN = ("28", "3D000", "53300")
#: A transaction that may succeed if it is repeated: serialization, deadlock, lock not available.
_TRANSIENT = ("40001", "40P01", "55P03")
#: Data exceptions and violations of constraints: their messages quote values.
_ABOUT_DATA = ("21", "22", "23")
#: Disk, memory and connections of the server: their messages never do, and say what lacks.
_ABOUT_RESOURCES = "53"

_HINTS = {
    "28P01": "Check login_user and login_password",
    "28000": "Check login_user, and pg_hba.conf of the server",
    "3D000": "Set login_db to a database that exists",
    "53100": "Free space on the disk of the server, and run it again to continue",
    "53300": "Lower parallel, or raise max_connections of the server",
    "42501": "Give the user this privilege, or set session_role to a role that has it",
    "55P03": "Another session holds a lock on it: see pg_locks of the server",
    "22P05": "Create the database with the encoding UTF8",
    "57014": "Something canceled it: run it again to continue",
}

_NO_POSTGRESQL = "Check login_host and login_port: what answers there does not speak the protocol of PostgreSQL"
#: Drivers tell no code of a refused login: the words of the message have to do.
_LOGIN_HINTS = {
    "password authentication failed": _HINTS["28P01"],
    "no password supplied": "Set login_password, or login_user to a user who needs none",
    "pg_hba.conf": _HINTS["28000"],
    "Peer authentication failed": "Set become_user to the user of the database, or log in by login_host with a password",
    "too many": _HINTS["53300"],
    '" does not exist': "Check login_user and login_db",
    "invalid response to SSL negotiation": _NO_POSTGRESQL,
    "expected authentication request": _NO_POSTGRESQL,
    "SSL": "Check ssl_mode, ca_cert, ssl_cert and ssl_key",
    "private key": "Check ssl_mode, ca_cert, ssl_cert and ssl_key",
    "certificate": "Check ssl_mode, ca_cert, ssl_cert and ssl_key",
    "No such file or directory": "Check login_unix_socket, the directory of the socket, and that the server runs",
    "Connection refused": "Check login_host and login_port, and that the server runs",
    "timeout expired": "Check login_host and login_port, and that the server runs",
    "resolve host": "Check login_host",
    "translate host": "Check login_host",
    "invalid connection option": "Check connect_params",
    "unrecognized configuration parameter": "Check connect_params",
}

#: What stands before a name in quotes. Anything else in quotes can be a value.
_NAMED = re.compile(
    r"((?:column|relation|constraint|encoding|table|type|index|schema|database|role|sequence|extension) )"
    r'("(?:[^"]|"")*")'
)
_VALUE_AT_END = re.compile(r"[:\uff1a]\s.*", re.DOTALL)
#: Other languages have other quotes. A value can have any of them, too: up to the last one.
_VALUE = re.compile(
    r'"(?:[^"]|"")*"|[»«„\u201c「].*[»«\u201c\u201d」]', re.DOTALL
)
_HEX = re.compile(r"(?:0x[0-9a-fA-F]{2}\s*)+")

_LINE = re.compile(
    r"COPY .*?, line (\d+)(?:, column ([^:]+))?(?:[:,]|$)", re.DOTALL
)


class Refusal(t.NamedTuple):
    """What the server said. ``code``: its SQLSTATE, empty if the connection broke."""

    code: str
    message: str
    detail: str
    context: str

    @property
    def has_connection(self) -> bool:
        return bool(self.code) and not self.code.startswith(_NO_CONNECTION)

    @property
    def place(self) -> tuple[t.Optional[int], str]:
        """The line of COPY, from 1, and the column, as far as they are known."""
        found = _LINE.search(self.context)
        return (int(found[1]), found[2] or "") if found else (None, "")


def error_of(
    refusal: Refusal,
    server: str,
    *,
    operation: str = "",
    show_data: bool = False,
    has_data: bool = False,
) -> BackupError:
    """Return the error to raise. ``has_data``: whether the statement had values of rows in it."""
    hint = _HINTS.get(refusal.code, "")
    if has_data and not show_data and refusal.code.startswith(_ABOUT_RESOURCES):
        # Its message names the file and the reason, which look like values.
        text = refusal.message
    else:
        quotes_data = has_data or refusal.code.startswith(_ABOUT_DATA)
        text = _text(refusal, show_data, quotes_data)
    if not refusal.has_connection or refusal.code.startswith(_REFUSED_LOGIN):
        # libpq repeats where it tried to connect to.
        reason = re.sub(r"(?s).*(?:failed|error): +(?=\S)", "", text.strip())
        # Further lines are guesses about what to check.
        reason = reason.partition("\n")[0]
        known = [hint for words, hint in _LOGIN_HINTS.items() if words in text]
        return DatabaseConnectionError(
            f"the connection to {server} failed: {quoted(reason)}{f' ({refusal.code})' if refusal.code else ''}",
            hint=hint or (known[0] if known else ""),
            operation=operation,
        )
    return DatabaseError(
        text,
        code=refusal.code,
        hint=hint,
        operation=operation,
        is_transient=refusal.code in _TRANSIENT,
    )


def _text(refusal: Refusal, show_data: bool, has_data: bool) -> str:
    if show_data or not has_data:
        parts = (refusal.message, refusal.detail)
        return ". ".join(part.rstrip(". ") for part in parts if part)
    return without_values(refusal.message)


def without_values(message: str) -> str:
    """Return a message of the server without what can be a value of a row."""
    names: list[str] = []

    def keep(match: re.Match[str]) -> str:
        names.append(match[2])
        return f"{match[1]}\0{len(names) - 1}\0"

    # A value stands at the end, and can hold anything.
    text = _VALUE_AT_END.sub(": …", _NAMED.sub(keep, message))
    text = _HEX.sub("…", _VALUE.sub("…", text))
    return re.sub("\0(\\d+)\0", lambda match: names[int(match[1])], text)
