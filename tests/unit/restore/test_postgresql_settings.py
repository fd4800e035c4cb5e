# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restores into a PostgreSQL whose settings are as hostile as they can be, by a user with few rights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._base.errors import ConfigurationError
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.errors import RestoreConflictError
from databases import PostgreSQL
from exports import postgresql_tables
from restores import DRIVERS, PostgreSQLRestore, PostgreSQLTarget, ask, login, postgresql_restore

#: All at once, of the role. What a server does not know is left out.
HOSTILE = {
    "array_nulls": "off",
    "bytea_output": "escape",
    "client_encoding": "LATIN1",
    "datestyle": "SQL, DMY",
    "default_transaction_deferrable": "on",
    "default_transaction_isolation": "serializable",
    "exit_on_error": "on",
    "extra_float_digits": "-15",
    "idle_in_transaction_session_timeout": "60s",
    "idle_session_timeout": "60s",
    "intervalstyle": "sql_standard",
    "lock_timeout": "60s",
    "row_security": "on",
    "search_path": "evil",
    "standard_conforming_strings": "off",
    "statement_timeout": "60s",
    "timezone": "Asia/Kolkata",
    "transaction_timeout": "60s",
    "transform_null_equals": "on",
    "xmloption": "document",
}


@pytest.fixture
def app(postgresql: PostgreSQL) -> Iterator[PostgreSQL]:
    """The server, with the role app, which may log in and create databases."""
    ask(postgresql, "CREATE ROLE app LOGIN CREATEDB PASSWORD 'secret'", "postgres")
    yield postgresql
    postgresql.reset()
    ask(postgresql, "DROP ROLE app", "postgres")


def as_app(app: PostgreSQL, directory: Path, **changes: Any) -> PostgreSQLRestore:
    """A restore by that role."""
    one = postgresql_restore(postgresql_tables.export(), directory, app, **changes)
    one.login = login(app, login_user="app", login_password="secret")
    return one


@pytest.mark.parametrize("driver", DRIVERS)
def test_no_setting_of_a_role_changes_a_restore(app: PostgreSQL, tmp_path: Path, driver: str) -> None:
    known = {name.lower() for (name,) in ask(app, "SELECT name FROM pg_settings", "postgres")}
    for name in known & set(HOSTILE):
        ask(app, f"ALTER ROLE app SET {name} = '{HOSTILE[name]}'", "postgres")
    one = as_app(app, tmp_path, driver=driver)
    seen: dict[str, dict[str, str]] = {}

    def look(progress: Any) -> None:
        for database, connection in one.server._connections.items():
            settings = "SELECT lower(name), setting FROM pg_settings WHERE name LIKE '%timeout'"
            seen[f"{progress.phase} {database}"] = dict(connection.execute(settings))

    assert one.run(look).changed
    assert not one.run().changed
    PostgreSQLTarget(app).check(postgresql_tables.export())
    # Connections that are idle for hours are not ended.
    assert {"reading postgres", "loading postgres", "loading shop"} <= set(seen)
    for settings in seen.values():
        limits = {
            settings[name] for name in known & set(HOSTILE) if name.endswith("timeout") and name != "lock_timeout"
        }
        assert limits == {"0"}


@pytest.mark.parametrize("place", ["ROLE app", "DATABASE postgres", "DATABASE shop"])
def test_what_is_read_only_is_refused(app: PostgreSQL, tmp_path: Path, place: str) -> None:
    ask(app, "CREATE DATABASE shop OWNER app", "postgres")
    ask(app, f"ALTER {place} SET default_transaction_read_only = on", "postgres")
    one = as_app(app, tmp_path)
    try:
        with pytest.raises(
            ConfigurationError, match=r"transactions of user app in database \w+ are read-only"
        ) as caught:
            one.run()
    finally:
        with app.connect(autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute(f"ALTER {place} RESET ALL")  # type: ignore[arg-type]
    assert ("shop" if "shop" in place else "postgres") in str(caught.value)
    assert ask(app, "SELECT to_regnamespace('apsaradb_restore')") == [(None,)]


def test_databases_that_the_user_may_not_enter_are_left_alone(app: PostgreSQL, tmp_path: Path) -> None:
    ask(app, "CREATE DATABASE closed CONNECTION LIMIT 0", "postgres")
    one = as_app(app, tmp_path)
    assert one.run().changed
    assert not one.run().changed


@pytest.mark.parametrize("exists", [True, False])
def test_two_runs_with_different_databases_of_login_exclude_each_other(
    app: PostgreSQL, tmp_path: Path, exists: bool
) -> None:
    for name in ["other", "shop"] if exists else ["other"]:
        ask(app, f"CREATE DATABASE {name} OWNER app", "postgres")
    export = postgresql_tables.export()
    first, second = (
        postgresql_restore(export, tmp_path, app),
        PostgreSQLRestore(tmp_path / "source", login(app, login_db="other")),
    )
    refused = []

    def run_second(progress: Any) -> None:
        if progress.phase == "loading" and not refused:
            with pytest.raises(RestoreConflictError, match="another run restores") as caught:
                second.run()
            refused.append(caught)

    assert first.run(run_second).changed
    assert refused
    assert not second.run().changed


def test_a_database_that_another_run_creates_meanwhile(app: PostgreSQL, tmp_path: Path) -> None:
    """Both find that it does not exist."""
    ask(app, "CREATE DATABASE other", "postgres")
    export = postgresql_tables.export()
    first, second = (
        postgresql_restore(export, tmp_path, app),
        PostgreSQLRestore(tmp_path / "source", login(app, login_db="other")),
    )
    with second.restoration() as restoration:
        plan = restoration._prepare()
        second.server.lock(plan)
        seen = []

        def go_on(progress: Any) -> None:
            if progress.phase == "loading" and not seen:
                with pytest.raises(RestoreConflictError, match="another run restores"):
                    second.server.begin(plan)
                seen.append(progress)

        assert first.run(go_on).changed
        assert seen
    PostgreSQLTarget(app).check(export)
