# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can go wrong between a backup and PostgreSQL: found, told without values of rows, and continued."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._base.errors import BackupError, ConfigurationError
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.errors import (
    DatabaseConnectionError,
    DatabaseError,
    InvalidBackupError,
    RestoreConflictError,
    VerificationError,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.model import State
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.postgresql_creation import PostgreSQLOptions
from databases import PostgreSQL
from exports import Column, Database, Export, Table, Value, postgresql
from restores import DRIVERS, PostgreSQLRestore, ask, login, postgresql_restore

COLUMNS = [Column("id", "integer", "NOT NULL"), Column("name", "character varying(8)"), Column("at", "date")]
KEY = ['ALTER TABLE ONLY {table} ADD CONSTRAINT "t_pkey" PRIMARY KEY ("id")']


def table(rows: Sequence[Sequence[Value]] = (), name: str = "t", **changes: Any) -> Table:
    return Table(name, **{"columns": list(COLUMNS), "rows": rows, "constraints": KEY, **changes})


def export(*tables: Table, **dialect: Any) -> Export:
    return Export("postgresql", [Database("shop", list(tables))], postgresql.DEFAULTS).with_dialect(**dialect)


def failed(restored: PostgreSQLRestore, kind: type[BackupError] = DatabaseError) -> str:
    """The message of a restore that has to fail, of which nothing is recorded as done."""
    with pytest.raises(kind) as raised:
        restored.run()
    return str(raised.value)


ROWS = [(number, f"n {number}", "2024-01-01") for number in range(1, 2001)]


# Damage in data


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("show_data", [False, True])
def test_a_value_that_does_not_fit_is_told_by_its_record(
    postgresql: PostgreSQL, tmp_path: Path, driver: str, show_data: bool
) -> None:
    rows: list[Sequence[Value]] = [*ROWS[:1500], (1501, 'a\n"b"\n', None), (1502, "x", 's3cret: "x"'), *ROWS[1502:]]
    made = postgresql_restore(
        export(table(rows)),
        tmp_path,
        postgresql,
        driver=driver,
        piece_size=4096,
        options=PostgreSQLOptions(show_data=show_data),
    )
    message = failed(made)
    assert "load record 1502 of dt-export/shop/public/t/data/0.csv, column at, into shop.public.t" in message
    assert "22007" in message
    assert ("s3cret" in message) == show_data


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ((9, "much too s3cret", None), "22001"),
        ((99999999999, "s3cret", None), "22003"),
        ((9, "s3cret", "2024-02-30"), "22008"),
        ((None, "s3cret", None), "23502"),
        ((1, "s3cret", "2024-01-01"), "23505"),
    ],
    ids=["too long", "out of range", "no date", "not null", "duplicate"],
)
@pytest.mark.parametrize("defers_keys", [False, True])
@pytest.mark.parametrize("form", ["csv", "sql"])
def test_damaged_rows_are_found(
    postgresql: PostgreSQL, tmp_path: Path, row: Sequence[Value], code: str, defers_keys: bool, form: str
) -> None:
    made = postgresql_restore(
        export(table([*ROWS[:3], row]), format=form), tmp_path, postgresql, defers_keys=defers_keys
    )
    message = failed(made)
    assert code in message
    assert "shop.public.t" in message
    assert not any(text in message for text in ("s3cret", "99999999999", "02-30", "(1)"))
    assert failed(made) == message
    assert ask(postgresql, "SELECT state FROM apsaradb_restore.restores") == [("loading",)]


def test_a_line_that_would_end_copy_is_a_value(postgresql: PostgreSQL, tmp_path: Path) -> None:
    rows = [(1, "a\n\\.\nb", None), (2, "\\.", None), (3, None, "2024-01-01"), (4, 'q"\t\\N', None), (5, "", None)]
    made = postgresql_restore(export(table(rows)), tmp_path, postgresql)
    assert made.run().state is State.DONE
    assert ask(postgresql, "SELECT id, name, at::text FROM public.t ORDER BY id") == rows


def test_a_record_that_would_end_copy_is_a_value(postgresql: PostgreSQL, tmp_path: Path) -> None:
    words = table([("a",), ("b",), ("c",)], columns=[Column("word", "text")], constraints=[])
    files = export(words).files()
    files["dt-export/shop/public/t/data/0.csv"] = b'a\n\\.\n"c\n"""\n'
    assert postgresql_restore(files, tmp_path, postgresql).run().state is State.DONE
    assert ask(postgresql, "SELECT word FROM public.t") == [("a",), ("\\.",), ('c\n"',)]


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE public.t;",
        "INSERT INTO public.o VALUES (1);",
        "INSERT INTO other.t VALUES (1);",
        "INSERT INTO public.t VALUES (9, pg_read_file('/etc/hostname'), NULL);",
        "INSERT INTO public.t VALUES (9, (SELECT 'x'), NULL);",
        "INSERT INTO public.t VALUES (9, 'x' || version(), NULL);",
        "INSERT INTO public.t SELECT 9;",
        "INSERT INTO public.t VALUES (9, 'x', NULL) RETURNING pg_sleep(0);",
        "INSERT INTO public.t VALUES (9, E'\\'', NULL); DROP TABLE public.t; --', NULL);",
    ],
)
def test_sql_that_is_no_data_is_refused(postgresql: PostgreSQL, tmp_path: Path, statement: str) -> None:
    files = export(table(ROWS[:3]), format="sql").files()
    name = "dt-export/shop/public/t/data/0.sql"
    made = postgresql_restore({**files, name: files[name] + statement.encode() + b"\n"}, tmp_path, postgresql)
    assert name in failed(made, InvalidBackupError)


def test_sql_with_all_kinds_of_constants(postgresql: PostgreSQL, tmp_path: Path) -> None:
    files = export(table(), format="sql").files()
    text = r"""INSERT INTO "public"."t" ("id", "name") VALUES (1, E'a\'\n;'),(-2, 'back\'), -- (x);
    (3, 'q''(;)'::character varying(8)), (+4, NULL), (5, 'x'::text);
    insert into t values (6, N'x', '2024-01-01'::date), (7, DEFAULT, null);
    """
    files["dt-export/shop/public/t/data/0.sql"] = text.replace(", -- (x);", ",").encode()
    assert postgresql_restore(files, tmp_path, postgresql).run().state is State.DONE
    assert ask(postgresql, "SELECT id, name FROM public.t ORDER BY id") == [
        (-2, "back\\"),
        (1, "a'\n;"),
        (3, "q'(;)"),
        (4, None),
        (5, "x"),
        (6, "x"),
        (7, None),
    ]


def test_a_foreign_key_without_its_row_is_found(postgresql: PostgreSQL, tmp_path: Path) -> None:
    key = 'ALTER TABLE {table} ADD CONSTRAINT "f" FOREIGN KEY ("id") REFERENCES public.t ("id")'
    made = postgresql_restore(
        export(table(ROWS[:3]), table([(4321, "x", None)], "a", constraints=[key])), tmp_path, postgresql
    )
    message = failed(made)
    assert "23503" in message
    assert "create the foreign key f of shop.public.a" in message
    assert "4321" not in message


# Damage on the server


@pytest.fixture
def loaded(postgresql: PostgreSQL, tmp_path: Path) -> Iterator[Any]:
    """A session with a table that is loaded and finished, but not verified; and a function that verifies it."""
    rows = [(number, f"n {number}", "2024-01-01") for number in range(1, 7)]
    partner = 'CREATE INDEX "names" ON {table} ("name")'
    made = postgresql_restore(export(table(rows, serial="id", indexes=[partner])), tmp_path, postgresql)
    made.run()
    with made.restoration() as restoration:
        made.server.open()
        plan = restoration._plan(restoration._request.options)
        session = made.server.session()
        yield lambda: session.verify(plan.tables[:1], plan)[0]
        session.close()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("DELETE FROM public.t WHERE id = 3", "has 5 rows, and the backup 6 records"),
        ("INSERT INTO public.t VALUES (9, 's3cret')", "has 7 rows, and the backup 6 records"),
        ("UPDATE public.t SET id = 99 WHERE id = 1", "record 1 of dt-export/shop/public/t/data/0.csv is not in"),
        (
            "UPDATE public.t SET name = 's3cret' WHERE id = 6",
            "record 6 of dt-export/shop/public/t/data/0.csv differs in name",
        ),
        ("UPDATE public.t SET name = 'N 1' WHERE id = 1", "differs in name"),
        ("UPDATE public.t SET name = NULL, at = 'infinity' WHERE id = 1", "differs in name, at"),
        ("DROP INDEX public.names", "lacks the key names, or it is not valid"),
        ("ALTER TABLE public.t DROP CONSTRAINT t_pkey", "lacks the key t_pkey, or it is not valid"),
        ("SELECT setval('public.t_id_seq', 5)", "the sequence public.t_id_seq is behind the values of column id"),
    ],
)
def test_damage_on_the_server_is_found(postgresql: PostgreSQL, loaded: Any, damage: str, words: str) -> None:
    assert loaded().rows == 6
    ask(postgresql, damage)
    with pytest.raises(VerificationError) as raised:
        loaded()
    assert words in str(raised.value)
    assert "s3cret" not in str(raised.value)


def test_a_restore_that_lost_rows_since_is_not_done(postgresql: PostgreSQL, tmp_path: Path) -> None:
    made = postgresql_restore(export(table(ROWS[:3]), table(ROWS[:2], "other", constraints=[])), tmp_path, postgresql)
    made.run()
    ask(postgresql, "DELETE FROM public.t WHERE id = 1")
    assert "has 2 rows, and had 3" in failed(made, RestoreConflictError)
    ask(postgresql, "DROP TABLE public.t")
    assert "no longer exists" in failed(made, RestoreConflictError)


# What exists before the restore


def test_tables_of_others_are_not_touched(postgresql: PostgreSQL, tmp_path: Path) -> None:
    ask(postgresql, "CREATE DATABASE shop", "postgres")
    ask(postgresql, "CREATE VIEW public.t AS SELECT 1 AS mine")
    made = postgresql_restore(export(table(ROWS[:3]), table(ROWS[:2], "other", constraints=[])), tmp_path, postgresql)
    assert "did not create them: shop.public.t" in failed(made, RestoreConflictError)
    made.request["on_existing"] = "skip"
    outcome = made.run()
    assert [str(one) for one in outcome.skipped] == ["shop.public.t"]
    assert ask(postgresql, "SELECT mine FROM public.t") == [(1,)]
    assert ask(postgresql, "SELECT count(*) FROM public.other") == [(2,)]


def test_a_sequence_of_others_is_not_touched(postgresql: PostgreSQL, tmp_path: Path) -> None:
    ask(postgresql, "CREATE DATABASE shop", "postgres")
    ask(postgresql, "CREATE SEQUENCE public.t_id_seq")
    message = failed(postgresql_restore(export(table(ROWS[:3], serial="id")), tmp_path, postgresql))
    assert "create sequence public.t_id_seq" in message
    assert "42P07" in message
    assert ask(postgresql, "SELECT is_called FROM public.t_id_seq") == [(False,)]


def test_a_restore_under_another_name(postgresql: PostgreSQL, tmp_path: Path) -> None:
    key = 'ALTER TABLE {table} ADD CONSTRAINT "f" FOREIGN KEY ("id") REFERENCES public.t ("id")'
    tables = (table(ROWS[:3], serial="id"), table(ROWS[:2], "a", constraints=[key]))
    made = postgresql_restore(
        export(*tables), tmp_path, postgresql, rename={"shop": 'it\'s a "copy"', "shop.t": 'Other"s'}
    )
    assert made.run().state is State.DONE
    database = 'it\'s a "copy"'
    found = ask(postgresql, "SELECT confrelid::regclass::text FROM pg_constraint WHERE conname = 'f'", database)
    assert found == [('"Other""s"',)]
    assert made.run().changed is False


# What is lacking


@pytest.fixture
def limited(postgresql: PostgreSQL) -> Iterator[str]:
    """A role that may do nothing."""
    ask(postgresql, "CREATE ROLE limited LOGIN PASSWORD 'limited password'", "postgres")
    yield "limited"
    postgresql.reset()
    ask(postgresql, "DROP OWNED BY limited; DROP ROLE limited", "postgres")


def as_limited(postgresql: PostgreSQL) -> Any:
    return login(postgresql, login_user="limited", login_password="limited password")


def test_privileges_that_lack_are_named(postgresql: PostgreSQL, tmp_path: Path, limited: str) -> None:
    made = postgresql_restore(export(table(ROWS[:3], schema="s")), tmp_path, postgresql)
    made.login = as_limited(postgresql)
    assert "user limited lacks the privilege CREATEDB" in failed(made, ConfigurationError)
    ask(postgresql, "CREATE DATABASE shop", "postgres")
    assert "user limited lacks the privilege CREATE on database shop" in failed(made, ConfigurationError)
    ask(postgresql, "GRANT CREATE ON DATABASE shop TO limited; CREATE SCHEMA s")
    assert "lacks the privileges CREATE and USAGE on schema s of database shop" in failed(made, ConfigurationError)
    ask(postgresql, "GRANT ALL ON SCHEMA s TO limited")
    assert made.run().state is State.DONE


def test_a_role_of_the_session(postgresql: PostgreSQL, tmp_path: Path, limited: str) -> None:
    made = postgresql_restore(export(table(ROWS[:3])), tmp_path, postgresql)
    made.login = login(postgresql, session_role="nobody")
    assert "take on session_role nobody: the database server answered 22023" in failed(made)
    ask(postgresql, "CREATE DATABASE shop OWNER limited", "postgres")
    made.login = login(postgresql, session_role="limited")
    made.run()
    owner = "SELECT tableowner FROM pg_tables WHERE tablename = 't'"
    assert ask(postgresql, owner) == [("limited",)]


def test_an_owner(postgresql: PostgreSQL, tmp_path: Path, limited: str) -> None:
    made = postgresql_restore(
        export(table(ROWS[:3], schema="s")), tmp_path, postgresql, options=PostgreSQLOptions(owner="nobody")
    )
    assert "owner 'nobody' is not a role of the server" in failed(made, ConfigurationError)
    made.options = PostgreSQLOptions(owner="limited")
    made.run()
    query = """SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'shop' UNION ALL
        SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 's' UNION ALL
        SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname IN ('t', 't_pkey')"""
    assert ask(postgresql, query) == [("limited",)] * 4


def test_a_refused_login(postgresql: PostgreSQL, tmp_path: Path, limited: str) -> None:
    made = postgresql_restore(export(table()), tmp_path, postgresql)
    made.login = login(postgresql, login_db="nowhere")
    assert 'FATAL: database "nowhere" does not exist. Check login_user and login_db.' in failed(
        made, DatabaseConnectionError
    )
    made.login = login(postgresql, login_user="nobody", login_password="s3cret s3cret")
    assert "s3cret" not in failed(made, DatabaseConnectionError)
    made.login = login(postgresql, login_unix_socket=str(tmp_path))
    message = failed(made, DatabaseConnectionError)
    assert f"the connection to PostgreSQL at {tmp_path}, port 5432 failed: No such file or directory" in message
    assert "Check login_unix_socket" in message


def test_restores_of_another_user(postgresql: PostgreSQL, tmp_path: Path, limited: str) -> None:
    made = postgresql_restore(export(table()), tmp_path, postgresql)
    made.run()
    made.login = as_limited(postgresql)
    message = failed(made, DatabaseError)
    assert message.startswith("Failed to look for earlier restores in database shop: ")
    assert "permission denied for schema apsaradb_restore. Give the user this privilege, or set session_role" in message


def test_an_encoding_that_lacks_characters(postgresql: PostgreSQL, tmp_path: Path) -> None:
    ask(postgresql, "CREATE DATABASE shop ENCODING LATIN1 LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0", "postgres")
    assert "has the encoding LATIN1" in failed(
        postgresql_restore(export(table()), tmp_path, postgresql), ConfigurationError
    )


def test_a_locale_that_the_server_lacks(postgresql: PostgreSQL, tmp_path: Path) -> None:
    made = export(table())
    made.database("shop").structure = "CREATE DATABASE shop ENCODING 'UTF8' LC_COLLATE 'xx_YY.UTF-8'"
    assert "the locale xx_YY.UTF-8" in failed(postgresql_restore(made, tmp_path, postgresql), ConfigurationError)


def test_an_extension(postgresql: PostgreSQL, tmp_path: Path) -> None:
    text = "CREATE EXTENSION IF NOT EXISTS citext WITH SCHEMA public; CREATE EXTENSION plpgsql;"
    columns = [Column("id", "integer"), Column("name", "citext")]
    files = export(table([(1, "a"), (2, "A")], columns=columns)).files()
    files["dt-export/shop/structure.sql"] += text.encode()
    made = postgresql_restore(files, tmp_path, postgresql)
    assert "the extension 'citext', which is created only if it is allowed" in failed(made, ConfigurationError)
    made.options = PostgreSQLOptions(extensions=("citext",))
    assert made.run().state is State.DONE
    assert ask(postgresql, "SELECT count(*) FROM public.t WHERE name = 'a'") == [(2,)]


def test_types_of_a_schema(postgresql: PostgreSQL, tmp_path: Path) -> None:
    columns = [Column("id", "integer"), Column("mood", "public.mood"), Column("size", "size")]
    files = export(table([(1, "so;so", "1"), (2, None, None)], columns=columns)).files()
    types = "CREATE TYPE public.mood AS ENUM ('so;so', 'good'); CREATE DOMAIN size AS integer CHECK (VALUE > 0);"
    files["dt-export/shop/public/structure.sql"] += types.encode()
    assert postgresql_restore(files, tmp_path, postgresql).run().state is State.DONE
    assert ask(postgresql, "SELECT mood::text, size FROM public.t ORDER BY id") == [("so;so", 1), (None, None)]


def test_a_partitioned_table_with_the_data_of_its_partitions(postgresql: PostgreSQL, tmp_path: Path) -> None:
    parent = table(ROWS, options='PARTITION BY RANGE ("id")')
    parts = [
        table(
            (),
            f"p{number}",
            constraints=[],
            inherits=[
                f"ALTER TABLE ONLY public.t ATTACH PARTITION {{table}} FOR VALUES FROM ({number * 1000}) TO ({number * 1000 + 1000})"
            ],
        )
        for number in range(3)
    ]
    made = postgresql_restore(export(parent, *parts), tmp_path, postgresql)
    assert made.run().state is State.DONE
    assert ask(postgresql, "SELECT count(*) FROM public.p1") == [(1000,)]
    assert made.run().changed is False


def test_sequences_go_on_where_the_data_end(postgresql: PostgreSQL, tmp_path: Path) -> None:
    shared = "CREATE SEQUENCE public.shared"
    columns = [Column("id", "integer", "DEFAULT nextval('public.shared'::regclass) NOT NULL")]
    down = [Column("id", "integer", "NOT NULL GENERATED ALWAYS AS IDENTITY (INCREMENT BY -1)")]
    tables = [
        table([(5,), (7,)], "one", columns=columns, before=[shared]),
        table([(3,), (9,)], "two", columns=columns, constraints=[]),
        table([(-3,), (-9,)], "down", columns=down, constraints=[]),
        table([], "none", columns=down, constraints=[]),
    ]
    postgresql_restore(export(*tables), tmp_path, postgresql).run()
    ask(
        postgresql,
        "INSERT INTO public.one DEFAULT VALUES; INSERT INTO public.down DEFAULT VALUES; INSERT INTO public.none DEFAULT VALUES",
    )
    found = "SELECT (SELECT max(id) FROM one), (SELECT min(id) FROM down), (SELECT min(id) FROM none)"
    assert ask(postgresql, found) == [(10, -10, -1)]


def test_what_is_not_restored_is_listed(postgresql: PostgreSQL, tmp_path: Path) -> None:
    inherits = "ALTER TABLE {table} INHERIT public.other"
    files = export(table(ROWS[:3], inherits=[inherits])).files()
    name = "dt-export/shop/public/t/column_structure.sql"
    files[name] += b"ALTER TABLE public.t OWNER TO someone; GRANT ALL ON TABLE public.t TO everybody;"
    warnings = postgresql_restore(files, tmp_path, postgresql).run().warnings
    assert warnings == [
        "what is created belongs to the user of the restore, and belonged to someone: set owner to have another one",
        "these statements of the backup are not executed: GRANT ALL ON TABLE public.t TO",
        "shop.public.t was a part or a whole of public.other, which is not restored: it becomes a table of its own",
    ]


def test_checksums_are_those_of_the_rows(postgresql: PostgreSQL, tmp_path: Path) -> None:
    checksums = []
    for number, rows in enumerate((ROWS, ROWS[::-1], [*ROWS[1:], (1, "n 1 ", "2024-01-01")])):
        made = postgresql_restore(
            export(table(rows)), tmp_path / str(number), postgresql, rename={"shop": f"shop{number}"}
        )
        made.request["has_checksums"] = True
        verified = made.run().tables[0].verified
        checksums.append(verified and verified.checksum)
    assert checksums[0] == checksums[1] != checksums[2]
    assert checksums[0]
