# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backup sets: of PolarDB clusters as Database Backup lists them, of RDS instances as RDS does, version 2014-08-15."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from .dbs import BusinessError, argument, choice, dbs, invalid, number
from .model import Backup, Instance
from .registry import Body, GatewayError, Parameters, operation

if TYPE_CHECKING:
    from .server import StandIn

SECONDS: Final = "%Y-%m-%dT%H:%M:%SZ"
MINUTES: Final = "%Y-%m-%dT%H:%MZ"
RDS_ENGINES: Final = {"mysql": ("MySQL", "8.0"), "postgresql": ("PostgreSQL", "15.0")}
RDS_PAGE_SIZES: Final = (30, 50, 100)


def text_of(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds // 1000, UTC).strftime(SECONDS)


def time_of(parameters: Parameters, name: str, format: str, error: Callable[[str], Exception]) -> int | None:
    text = parameters.get(name)
    if not text:
        return None
    try:
        return int(datetime.strptime(text, format).replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        raise error(name) from None


def between(
    backups: Sequence[Backup], parameters: Parameters, format: str, error: Callable[[str], Exception]
) -> list[Backup]:
    """Those that began in the time asked about."""
    start = time_of(parameters, "StartTime", format, error)
    end = time_of(parameters, "EndTime", format, error)
    if start is not None and end is not None and end <= start:
        raise error("EndTime")
    return [
        backup
        for backup in backups
        if (start is None or backup.started >= start) and (end is None or backup.started <= end)
    ]


def _listed(service: StandIn, rows: Sequence[Body]) -> list[Body]:
    return [row for row in rows if row["BackupId"] not in service.habits.unlisted]


# Database Backup


@dbs("DescribeBackupDataList")
def describe_backup_data_list(service: StandIn, parameters: Parameters) -> Any:
    region = argument(parameters, "RegionCode")
    clusters = [
        instance
        for instance in service.account.instances()
        if instance.region == region and instance.engine == "polardb"
    ]
    if name := parameters.get("InstanceName"):
        clusters = [cluster for cluster in clusters if cluster.name == name]
        if not clusters and service.habits.unknown_instance == "error":
            raise BusinessError("Forbidden.InstanceNotFound", "The specified instance does not exist.")
    choice(parameters, "SceneType", "level_1")
    status = choice(parameters, "BackupStatus", "ok", "error")
    named = {
        "mode": choice(parameters, "BackupMode", "automated", "manual"),
        "method": choice(parameters, "BackupMethod", "physical", "logical", "snapshot"),
        "type": choice(parameters, "BackupType", "fullbackup", "incrementbackup"),
        "scale": choice(parameters, "BackupScale", "dbinstance", "dbtable"),
    }
    backup_id = parameters.get("BackupId")
    rows = [
        _polardb_row(cluster, backup)
        for cluster in clusters
        for backup in between(cluster.backups, parameters, SECONDS, invalid)
        if status in (None, "ok" if backup.succeeded else "error")
        and backup_id in (None, "", backup.backup_id)
        and all(not value or getattr(backup, field).lower() == value for field, value in named.items())
    ]
    size = min(number(parameters, "PageSize", 1) or 20, service.habits.page_size_max)
    page = number(parameters, "PageNumber", 1) or 1
    return {
        "PageNumber": page,
        "PageSize": size,
        "TotalPages": -(-len(rows) // size),
        "TotalElements": len(rows),
        "Extra": "",
        "Content": _listed(service, rows[(page - 1) * size : page * size]),
    }


def _polardb_row(cluster: Instance, backup: Backup) -> Body:
    return {
        "BackupId": backup.backup_id,
        "BackupName": f"{cluster.name}_{backup.backup_id}",
        "InstanceName": cluster.name,
        "BackupStatus": "OK" if backup.succeeded else "ERROR",
        "BackupMode": backup.mode,
        "BackupMethod": backup.method,
        "BackupType": backup.type,
        "BackupScale": backup.scale,
        "BackupSize": backup.size,
        "BackupStartTime": text_of(backup.started),
        "BackupEndTime": text_of(backup.ended),
        "ConsistentTime": backup.started // 1000,
        "BackupLocation": "OSS",
        "Checksum": "",
        "Encryption": "{}",
        "Engine": "polardb_mysql",
        "EngineVersion": "8.0",
        "ExpectExpireTime": text_of(backup.ended + 7 * 86_400_000),
        "ExpectExpireType": "DELAY",
        "IsAvail": int(backup.succeeded),
        "SupportDeletion": 0,
        **backup.extra,
    }


# RDS


def invalid_parameter(name: str) -> GatewayError:
    return GatewayError(400, "InvalidParameter", f"The specified parameter {name} is not valid.")


def _rds_number(parameters: Parameters, name: str, default: int) -> int:
    text = parameters.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise invalid_parameter(name)
    return int(text)


@operation("DescribeBackups", version="2014-08-15", product="rds")
def describe_backups(service: StandIn, parameters: Parameters) -> Body:
    instance = _rds_instance(service, parameters, parameters.get("RegionId"))
    for parameter, allowed in {
        "BackupStatus": ("Success", "Failed"),
        "BackupMode": ("Automated", "Manual"),
        "BackupType": ("FullBackup", "IncrementalBackup"),
    }.items():
        if parameters.get(parameter) and parameters[parameter] not in allowed:
            raise invalid_parameter(parameter)
    asked = {
        name: parameters[name]
        for name in ("BackupId", "BackupStatus", "BackupMode", "BackupType")
        if parameters.get(name)
    }
    rows = [
        row
        for backup in between(instance.backups, parameters, MINUTES, invalid_parameter)
        if asked.items() <= (row := _rds_row(instance, backup)).items()
    ]
    size = _rds_number(parameters, "PageSize", 30)
    if size not in RDS_PAGE_SIZES:
        raise invalid_parameter("PageSize")
    page = _rds_number(parameters, "PageNumber", 1)
    shown = _listed(service, rows[(page - 1) * size : page * size])
    return {
        "Items": {"Backup": shown},
        "PageNumber": str(page),
        "PageRecordCount": str(len(shown)),
        "TotalRecordCount": str(len(rows)),
        "TotalEcsSnapshotSize": sum(backup.size for backup in instance.backups),
    }


@operation("DescribeLocalAvailableRecoveryTime", version="2014-08-15", product="rds")
def describe_local_available_recovery_time(service: StandIn, parameters: Parameters) -> Body:
    """From the oldest good backup set on, by logs until now."""
    instance = _rds_instance(service, parameters, parameters.get("Region"))
    good = [backup for backup in instance.backups if backup.succeeded and backup.type == "FullBackup"]
    return {
        "DBInstanceId": instance.name,
        "RecoveryBeginTime": text_of(good[-1].started) if good else "",
        "RecoveryEndTime": text_of(service.clock.now()) if good else "",
    }


def _rds_instance(service: StandIn, parameters: Parameters, region: str | None) -> Instance:
    name = parameters.get("DBInstanceId")
    if not name:
        raise GatewayError(400, "MissingParameter", "The input parameter DBInstanceId is mandatory.")
    for instance in service.account.instances():
        if instance.name == name and instance.engine in RDS_ENGINES and region in (None, "", instance.region):
            return instance
    message = "The specified instance does not exist or is not supported."
    raise GatewayError(404, "InvalidDBInstanceId.NotFound", message)


def _rds_row(instance: Instance, backup: Backup) -> Body:
    engine, version = RDS_ENGINES[instance.engine]
    return {
        "BackupId": backup.backup_id,
        "DBInstanceId": instance.name,
        "BackupStatus": "Success" if backup.succeeded else "Failed",
        "BackupMode": backup.mode,
        "BackupMethod": backup.method,
        "BackupType": backup.type,
        "BackupSize": backup.size,
        "BackupStartTime": text_of(backup.started),
        "BackupEndTime": text_of(backup.ended),
        "BackupInitiator": "System" if backup.mode == "Automated" else "User",
        "BackupDownloadURL": "",
        "BackupIntranetDownloadURL": "",
        "Checksum": "",
        "ConsistentTime": backup.started // 1000,
        "CopyOnlyBackup": "0",
        "Encryption": "{}",
        "Engine": engine,
        "EngineVersion": version,
        "HostInstanceID": "5882781",
        "IsAvail": int(backup.succeeded),
        "MetaStatus": "OK",
        "StorageClass": "0",
        "StoreStatus": "Enabled",
        **backup.extra,
    }
