# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small account to try things on: each engine, each state, tasks that move, backup sets to make more of."""

from __future__ import annotations

from typing import Any, Final

from .model import DAY, LIFE_CYCLE, AccessKey
from .server import StandIn

KEY: Final = AccessKey("LTAI-demo-not-a-real-key", "demo-secret-not-a-real-one")
REGION: Final = "cn-hangzhou"
MYSQL: Final = "rm-bp1demomysql0001"
POSTGRESQL: Final = "pgm-bp1demopgsql001"
POLARDB: Final = "pc-bp1demopolardb01"
MONGODB: Final = "dds-bp1demomongo001"
SINGAPORE: Final = "rm-t4ndemomysql0001"
IDLE: Final = "rm-bp1demomysql0002"
"""It has backup sets and no task, so one can be created."""
UNSUPPORTED: Final = "rm-bp1demolocal0001"
BUCKET: Final = "demo-exports"
TASK: Final = "dt-demo00000001"
POSTGRESQL_TASK: Final = "dt-demo00000002"
MONGODB_TASK: Final = "dt-demo00000003"
"""These are finished, and their files can be fetched."""
POLARDB_SET: Final = "1482620099"
"""The backup set of its finished task."""


def seed(service: StandIn) -> None:
    service.add_instance(MYSQL, REGION, "mysql")
    service.add_instance(POSTGRESQL, REGION, "postgresql")
    service.add_instance(POLARDB, REGION, "polardb")
    service.add_instance(MONGODB, REGION, "mongodb", cluster_name="shard-1")
    service.add_instance(SINGAPORE, "ap-southeast-1", "mysql")
    service.add_instance(IDLE, REGION, "mysql")
    service.add_instance(UNSUPPORTED, REGION, "mysql", unsupported="DBS.DownloadTask.InstanceStorageTypeNotSupport")
    service.objects.add_bucket(BUCKET)
    now = service.clock.now()

    def ago(days: float) -> int:
        return now - int(days * DAY * 1000)

    for number, instance in enumerate((MYSQL, POSTGRESQL, POLARDB, SINGAPORE, IDLE)):
        for day in range(9, -1, -1):
            backup_id = f"14826{number}{100 - day:04}"
            service.add_backup(instance, backup_id=backup_id, started=ago(day + 0.2), succeeded=day != 4)

    service.add_task(
        MYSQL,
        state="expired",
        created=ago(9),
        backup_set_id="1482600091",
        databases=["shop", "billing"],
        tables=42,
        size=5 << 30,
    )
    service.add_task(
        MYSQL,
        task_id=TASK,
        created=ago(2),
        backup_set_id="1482600098",
        databases=["shop", "billing"],
        tables=42,
        size=6 << 30,
    )
    service.add_task(MYSQL, created=ago(1), format="SQL", task_type="pitr", databases=["shop"], tables=30, size=2 << 30)
    service.add_task(MYSQL, schedule=LIFE_CYCLE, created=ago(0), databases=["shop", "billing"], tables=42, size=6 << 30)

    in_oss: dict[str, Any] = {"target_type": "OSS", "target_bucket": BUCKET, "target_path": "exports/nightly"}
    service.add_task(POSTGRESQL, created=ago(3), format="Parquet", databases=["metrics"], tables=120, **in_oss)
    service.add_task(
        POSTGRESQL, task_id=POSTGRESQL_TASK, created=ago(2), databases=["metrics"], tables=120, size=1 << 30
    )
    service.add_task(POSTGRESQL, state="failed", created=ago(0.5), databases=["metrics"], tables=120, **in_oss)

    service.add_task(POLARDB, created=ago(1.5), databases=["orders"], tables=8, backup_set_id=POLARDB_SET)
    service.add_task(POLARDB, schedule=LIFE_CYCLE[1:], created=ago(0.01), databases=["orders"], tables=8)

    service.add_task(MONGODB, created=ago(6), format="Bson", databases=["events"], state="expired", tables=15)
    service.add_task(MONGODB, task_id=MONGODB_TASK, created=ago(2), format="Bson", databases=["events"], tables=15)
    failing = [("initializing", 5), ("running", 45), ("failed", None)]
    service.add_task(MONGODB, schedule=failing, created=ago(0), format="Bson", databases=["events"], tables=15)

    service.add_task(SINGAPORE, created=ago(1), databases=["shop_sg"], tables=12)
    service.add_task(SINGAPORE, schedule=LIFE_CYCLE, created=ago(0.001), databases=["shop_sg"], tables=12)
