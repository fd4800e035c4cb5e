# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real database servers for tests, without root: MySQL, MariaDB and PostgreSQL.

    with MariaDB(max_allowed_packet="1M") as server:
        server.connect().cursor().execute("CREATE DATABASE shop")

Their programs are fetched once, see ``programs``. ``python -m databases --help`` says what can be done from a shell.
"""

from __future__ import annotations

from databases.mysql import MariaDB, MySQL
from databases.postgresql import PostgreSQL
from databases.programs import UnavailableError
from databases.server import Server

ENGINES: tuple[type[Server], ...] = (MySQL, MariaDB, PostgreSQL)

__all__ = ["ENGINES", "MariaDB", "MySQL", "PostgreSQL", "Server", "UnavailableError"]
