# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The hosts of DBS and RDS, and what their error codes ask of the user.

Sources: the endpoint map of the official SDK (alibabacloud-dbs20210101), the endpoint page and the error code center of
the DBS documentation.
"""

from __future__ import annotations

from .._transport.endpoints import Service

#: Regions without a public host of their own.
_SERVED_BY_HANGZHOU = (
    "cn-beijing",
    "cn-hangzhou",
    "cn-hangzhou-finance",
    "cn-hongkong",
    "cn-qingdao",
    "cn-shanghai",
    "cn-shanghai-finance-1",
    "cn-shenzhen",
    "cn-shenzhen-finance-1",
    "cn-zhangjiakou",
    "us-east-1",
    "us-west-1",
)

_TASK = "DBS.DownloadTask."

DBS = Service(
    name="Database Backup (DBS)",
    version="2021-01-01",
    ram_prefix="dbs",
    hosts={
        "public": dict.fromkeys(
            _SERVED_BY_HANGZHOU, "dbs-api.cn-hangzhou.aliyuncs.com"
        ),
        "vpc": {},
    },
    # For regions that are newer than the list. The SDK has dbs.<region> here, which is another product.
    host_rule={
        "public": "dbs-api.{region}.aliyuncs.com",
        "vpc": "dbs-api-vpc.{region}.aliyuncs.com",
    },
    # DBS.InternalError is among them, as it is also the answer to bad parameters.
    final_codes=r"DBS\.|Param\.",
    hints={
        "Forbidden.InstanceNotFound": "Check instance_name and region: an instance is found in its own region only",
        "DBS.NotExists": "Check instance_name and region: an instance is found in its own region only",
        _TASK + "CannotFind": "Check the task's ID, instance_name and region",
        "DBS.ParamIsInValid": "Check the options against the documentation of the module",
        "Param.NotFound": "Check instance_name and region",
        _TASK
        + "CustinIdNotSupport": "Advanced download is not available for this instance",
        _TASK
        + "CustinNameNotSupport": "Advanced download is not available for this instance",
        _TASK
        + "DbTypeNotSupport": "Advanced download supports RDS MySQL, RDS PostgreSQL, PolarDB for MySQL and MongoDB",
        _TASK
        + "InstanceStorageTypeNotSupport": "Advanced download needs an instance with cloud disks",
        _TASK
        + "BakSetError": "Check backup_set_id: it must be a successful backup set of the instance",
        _TASK
        + "OssForbid": "Allow DBS to write to the bucket: grant it the role AliyunDBSDefaultRole, and check target_bucket",
        _TASK
        + "OssStorageTypeInvalid": "Use a bucket of the storage class Standard",
        _TASK
        + "UserNotSupport": "Advanced download is not available for this account",
        _TASK
        + "InstanceVersionNotSupport": "Advanced download is not available for this version of the database",
        _TASK
        + "RegionNotSupport": "Advanced download is not available in this region",
    },
)

RDS = Service(
    name="ApsaraDB RDS",
    version="2014-08-15",
    ram_prefix="rds",
    hosts={
        "public": dict.fromkeys(
            (
                "ap-southeast-1",
                "cn-beijing",
                "cn-beijing-finance-1",
                "cn-hangzhou",
                "cn-heyuan",
                "cn-hongkong",
                "cn-north-2-gov-1",
                "cn-qingdao",
                "cn-shanghai",
                "cn-shanghai-finance-1",
                "cn-shenzhen",
                "cn-shenzhen-finance-1",
                "us-east-1",
                "us-west-1",
            ),
            "rds.aliyuncs.com",
        ),
        "vpc": {},
    },
    host_rule={
        "public": "rds.{region}.aliyuncs.com",
        "vpc": "rds-vpc.{region}.aliyuncs.com",
    },
    hints={
        "InvalidDBInstanceId.NotFound": "Check instance_name and region: an instance is found in its own region only",
        "InvalidDBInstanceName.NotFound": "Check instance_name and region: an instance is found in its own region only",
    },
)
