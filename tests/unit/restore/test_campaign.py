# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many restores are killed at random places, or their server is. After a run to the end, no row is lost or doubled.

Each is killed at one of its statements, whose number, not a time, is chosen: before it, after it or meanwhile.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import kills
import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._restore import tuning
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.model import State
from databases import PostgreSQL, Server
from exports import Column, Export, Table, mysql_tables, postgresql_tables
from restores import MySQLTarget, PostgreSQLTarget, archive

#: Each has at least one kill. Those after the first ones run by ``make campaign``.
SEEDS, SEEDS_OF_EVERY_TEST = 110, 3
#: One seed in nine kills the server, whose start takes most of the time. One in four replaces tables that exist.
SERVERS, REPLACES = 9, 4
#: Between two runs, what the killed one has left at the server may still be at work, and have its lock.
BUSY = "another run restores"
OLD_ROWS = [(7, "old")]

seeds = pytest.mark.parametrize(
    "seed",
    [pytest.param(seed, marks=[pytest.mark.full] if seed >= SEEDS_OF_EVERY_TEST else []) for seed in range(SEEDS)],
)


def mysql_export() -> Export:
    export = mysql_tables.export(["shop"])
    log = Table(
        "log",
        [Column("id", "int", "NOT NULL"), Column("text", "varchar(40)", "DEFAULT NULL")],
        [(number, f"line {number}") for number in range(40)],
        parts=3,
        keys=["KEY `id` (`id`)"],
        options="ENGINE=MyISAM DEFAULT CHARSET=utf8mb4",
    )
    shop = export.databases[0]
    shop.tables = [*(shop.table(name) for name in ("orders", "customers", "no key", "empty file")), log]
    return export


def postgresql_export() -> Export:
    export = postgresql_tables.export(["shop"])
    shop = export.databases[0]
    shop.tables = [shop.table(name) for name in ("invoice_lines", "orders", "customers", "empty")]
    return export


class Unbroken(NamedTuple):
    """What a run is that nobody ends."""

    statements: int
    restore_id: str
    checksums: list[tuple[Any, ...]]


class Campaign:
    """Restores into one server, in place of tables that exist or not."""

    def __init__(self, server: Any, directory: Path, *, replaces: bool) -> None:
        self.server = server
        self.is_mysql = not isinstance(server, PostgreSQL)
        self.export = mysql_export() if self.is_mysql else postgresql_export()
        self.target: Any = MySQLTarget(server, time_zone="+00:00") if self.is_mysql else PostgreSQLTarget(server)
        self.source = archive(self.export, directory, "backup.tar")
        self.replaces = replaces
        self.begin()
        ended = self.run({})
        assert not ended.error, ended.error
        self.unbroken = Unbroken(ended.statements, ended.restore_id, self.checksums())
        self.check()
        server.reset()

    def begin(self) -> None:
        """Make what is replaced."""
        if self.replaces:
            where = {} if self.is_mysql else {"database": "shop"}
            self.target.query("CREATE DATABASE shop")
            name = "shop.customers" if self.is_mysql else "public.customers"
            self.target.query(f"CREATE TABLE {name} (id int, name varchar(10))", **where)
            self.target.query(f"INSERT INTO {name} VALUES (7, 'old')", **where)

    def run(self, options: dict[str, Any], strike: kills.Strike | None = None) -> kills.Ended:
        policy = "replace" if self.replaces else "error"
        ended = kills.Ended(False, error=BUSY)
        while BUSY in ended.error:
            ended = kills.run(self.target, self.source, strike, piece_size=512, on_existing=policy, **options)
        if self.server.process is None:
            self.server.start()
        return ended

    def play(self, chance: random.Random, victim: str) -> int:
        """Return the number of kills."""
        options = {"threads": chance.choice([1, 2, 4]), "defers_keys": chance.random() < 0.5}

        def strike() -> kills.Strike:
            statement = chance.randrange(1, self.unbroken.statements + 1)
            return kills.Strike(statement, chance.choice(kills.MOMENTS), victim)

        self.begin()
        while not (ended := self.run(options, strike())).was_struck:
            # It had fewer statements than the unbroken one.
            assert not ended.error, ended
            self.server.reset()
            self.begin()
        killed = 1
        for _unused in range(chance.choice([0, 0, 1, 2])):
            ended = self.run(options, strike())
            assert ended.was_struck or not ended.error, ended
            killed += ended.was_struck
        kept = self.kept()
        ended = self.run(options)
        assert not ended.error, ended
        assert ended.resumed_from >= kept
        self.check()
        assert self.checksums() == self.unbroken.checksums
        return killed

    def kept(self) -> int:
        """How many pieces the next run need not load."""
        server = self.target.connected()
        try:
            server.open()
            record = server.find(self.unbroken.restore_id)
        finally:
            server.close()
        if record is None or record.state is not State.LOADING:
            return 0
        # What is in a table without transactions nobody knows.
        return sum(record.tables[key.table].target.name != "log" for key in record.pieces)

    def check(self) -> None:
        self.target.check(self.export)
        if self.replaces:
            old = f"shop_old_{self.unbroken.restore_id[:8]}"
            rows = (
                self.target.query(f"SELECT * FROM {old}.customers")
                if self.is_mysql
                else self.target.query("SELECT * FROM public.customers", database=old)
            )
            assert rows == OLD_ROWS

    def checksums(self) -> list[tuple[Any, ...]]:
        found = []
        for table in self.export.databases[0].tables:
            if self.is_mysql:
                found += self.target.query(f"CHECKSUM TABLE shop.`{table.name}`")
            else:
                rows = f'SELECT md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM public."{table.name}" t'
                found += self.target.query(rows, database="shop")
        return found


@pytest.fixture(scope="module")
def campaign_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Server, bool], Campaign]:
    made: dict[tuple[str, bool], Campaign] = {}

    def campaign_of(server: Server, replaces: bool) -> Campaign:
        if (server.name, replaces) not in made:
            directory = tmp_path_factory.mktemp(server.name)
            made[server.name, replaces] = Campaign(server, directory, replaces=replaces)
        return made[server.name, replaces]

    return campaign_of


@pytest.mark.campaign
@seeds
def test_no_row_is_lost_or_doubled(
    any_server: Server,
    campaign_of: Callable[[Server, bool], Campaign],
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, int], None],
    seed: int,
) -> None:
    # Each piece in a transaction of its own, or several.
    monkeypatch.setattr(tuning, "BATCH_SIZE", 1 if seed % 2 else 2048)
    victim = "server" if seed % SERVERS == SERVERS // 2 else "module"
    campaign = campaign_of(any_server, seed % REPLACES == 1)
    record_property("kills", campaign.play(random.Random(seed), victim))
