# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Layer 2 for the Object Storage Service (OSS): signed links to what lies under a path of a bucket.

By the official package alibabacloud-oss-v2, which is needed for this alone.
"""

from __future__ import annotations

import datetime
import posixpath
import re
import traceback
import typing as t

from ansible_collections.apsaradb.backup.plugins.module_utils._transport.errors import (
    BackupError,
    BrokenAnswer,
    ConnectionFailed,
    MissingLibrary,
    ServiceError,
    hint_for,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.text import hide

if t.TYPE_CHECKING:
    from ansible_collections.apsaradb.backup.plugins.module_utils._transport.credentials import Credential

PACKAGE = "alibabacloud-oss-v2"


def object_links(
    bucket: str,
    path: str,
    *,
    region: str,
    private: bool,
    credential: Credential,
    duration: int,
    validate_certs: bool = True,
    endpoint: t.Optional[str] = None,
) -> list[tuple[str, str]]:
    """The name and a link, valid for ``duration`` seconds, of each object of the bucket under the path, in the order of names.

    Names are relative to the path; if the path is that of an object, it is the only one. Raises any BackupError.
    """
    try:
        import alibabacloud_oss_v2 as oss
    except ImportError:
        raise MissingLibrary(PACKAGE, "to sign links to objects in a bucket", traceback.format_exc()) from None
    hide(*credential)
    config = oss.config.load_default()
    config.region = region
    config.credentials_provider = oss.credentials.StaticCredentialsProvider(
        credential.access_key_id, credential.access_key_secret, credential.security_token or None
    )
    config.use_internal_endpoint = private
    config.insecure_skip_verify = not validate_certs
    if endpoint:
        config.endpoint = endpoint
        # A bucket cannot stand before an address in numbers.
        config.use_path_style = bool(re.search(r"//(\d+\.){3}\d+|//\[|//localhost", endpoint))
    client = oss.Client(config)
    prefix = path.lstrip("/")
    folder = prefix.rstrip("/") + "/" if prefix else ""
    asked = f"list the objects under {folder!r} in the bucket {bucket!r}"
    links = []
    try:
        pages = client.list_objects_v2_paginator().iter_page(oss.ListObjectsV2Request(bucket=bucket, prefix=prefix))
        for page in pages:
            # Absent is not empty. A page that says that there are more, but not where, would come again and again.
            is_broken = page.name is None or (page.key_count and not page.contents and not page.common_prefixes)
            if is_broken or (page.is_truncated and not page.next_continuation_token):
                raise _no_list(asked)
            for found in page.contents or ():
                if found.key == prefix or (found.key.startswith(folder) and not found.key.endswith("/")):
                    request = oss.GetObjectRequest(bucket=bucket, key=found.key)
                    url = client.presign(request, expires=datetime.timedelta(seconds=duration)).url
                    links.append((posixpath.basename(prefix) if found.key == prefix else found.key[len(folder) :], url))
    except (oss.exceptions.DeserializationError, SyntaxError):
        # The package lets the XML parser's own error through, which is a SyntaxError.
        raise _no_list(asked) from None
    except oss.exceptions.BaseError as error:
        failure = _failure(error)
        failure.asked = asked
        raise failure from None
    return links


def _no_list(asked: str) -> BrokenAnswer:
    hint = "Check oss_endpoint: another server may have answered in place of OSS"
    broken = BrokenAnswer("the answer holds no list of objects where one belongs", status=200, hint=hint)
    broken.asked, broken.action = asked, "ListObjectsV2"
    return broken


def _failure(error: t.Any) -> BackupError:
    while error is not None and not getattr(error, "code", None):
        inner = error.unwrap() if hasattr(error, "unwrap") else error.__cause__
        if inner is None or inner is error:
            return ConnectionFailed("OSS could not be reached", hint="Check oss_endpoint, network and region")
        error = inner
    return ServiceError(
        str(error.code),
        str(getattr(error, "message", "")),
        status=int(getattr(error, "status_code", 0) or 0),
        request_id=str(getattr(error, "request_id", "") or ""),
        hint="Check bucket and region"
        if error.code == "NoSuchBucket"
        else hint_for(str(error.code), "oss:ListObjects"),
    )
