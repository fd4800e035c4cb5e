# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The objects of a bucket of the Object Storage Service (OSS): signed links to what lies under a path.

By the official package alibabacloud-oss-v2, which is needed for this alone. It signs and parses; ``exchange`` sends.
"""

from __future__ import annotations

import datetime
import posixpath
import traceback
import typing as t

from .._base.errors import (
    BackupError,
    ConnectionFailedError,
    MissingLibraryError,
)
from .._base.text import hide
from .._transport.endpoints import is_loopback_url
from .exchange import Exchange, invalid_list

if t.TYPE_CHECKING:
    from .._base.http_options import HttpOptions
    from .._transport.credential import Credential


PACKAGE = "alibabacloud-oss-v2"
_ACTION = "ListObjectsV2"


class Bucket(t.NamedTuple):
    """A bucket. ``private``: by the network of Alibaba Cloud. ``endpoint``: in place of the region's."""

    name: str
    region: str
    private: bool
    endpoint: t.Optional[str] = None

    @property
    def url(self) -> str:
        """The address that requests go to."""
        if self.endpoint:
            return self.endpoint
        network = "-internal" if self.private else ""
        return f"https://{self.name}.oss-{self.region}{network}.aliyuncs.com"


def object_links(
    bucket: Bucket,
    path: str,
    *,
    credential: Credential,
    duration: int,
    connection: HttpOptions,
) -> list[tuple[str, str]]:
    """The name and a link, valid for ``duration`` seconds, of each object of the bucket under the path, in the order of names.

    Names are relative to the path; if the path is that of an object, it is the only one. Raises any BackupError.
    """
    try:
        import alibabacloud_oss_v2 as oss
    except ImportError:
        raise MissingLibraryError(
            PACKAGE,
            "to sign links to objects in a bucket",
            traceback.format_exc(),
        ) from None
    exchange = Exchange(bucket.url, connection)
    client = _client(oss, bucket, credential, exchange)
    valid_for = datetime.timedelta(seconds=duration)
    prefix = path.lstrip("/")
    links = []
    try:
        for key in _keys(oss, client, bucket.name, prefix):
            name = _name_of(key, prefix)
            if name:
                request = oss.GetObjectRequest(bucket=bucket.name, key=key)
                signed = client.presign(request, expires=valid_for)
                links.append((name, signed.url))
    except (BackupError, oss.exceptions.BaseError, SyntaxError) as error:
        # The package lets the XML parser's own error through, which is a SyntaxError.
        failure = exchange.failure(error)
        operation = _operation(bucket, prefix)
        if not isinstance(failure, ConnectionFailedError):
            # The others name the host themselves.
            operation += f" at {exchange.host}"
        raise failure.in_context(
            operation,
            action=_ACTION,
            attempts=exchange.attempts,
            elapsed=exchange.elapsed,
        ) from None
    finally:
        exchange.close()
    return links


def _client(
    oss: t.Any, bucket: Bucket, credential: Credential, exchange: Exchange
) -> t.Any:
    """A client of the package that sends by the exchange."""
    # Before anything can quote it.
    hide(*credential)
    config = oss.config.load_default()
    config.region = bucket.region
    config.credentials_provider = oss.credentials.StaticCredentialsProvider(
        credential.access_key_id,
        credential.access_key_secret,
        credential.security_token or None,
    )
    config.use_internal_endpoint = bucket.private
    # A bucket cannot stand before an address in numbers.
    config.use_path_style = bool(bucket.endpoint) and is_loopback_url(
        bucket.url
    )
    config.endpoint = bucket.endpoint
    config.http_client = exchange
    config.retryer = exchange
    return oss.Client(config)


def _keys(
    oss: t.Any, client: t.Any, bucket: str, prefix: str
) -> t.Iterator[str]:
    """Yield the key of each object that begins with the prefix. Raises InvalidResponseError."""
    request = oss.ListObjectsV2Request(bucket=bucket, prefix=prefix)
    paginator = client.list_objects_v2_paginator()
    for page in paginator.iter_page(request):
        # Absent is not empty.
        is_empty = not page.contents and not page.common_prefixes
        if page.name is None or (page.key_count and is_empty):
            raise invalid_list()
        # A page that says that there are more, but not where, would come again and again.
        if page.is_truncated and not page.next_continuation_token:
            raise invalid_list()
        for found in page.contents or ():
            yield found.key


def _name_of(key: str, prefix: str) -> str:
    """The name of an object relative to the prefix; empty if it is not under it, or stands for a folder."""
    if key == prefix:
        return posixpath.basename(prefix)
    folder = _folder(prefix)
    if not key.startswith(folder) or key.endswith("/"):
        return ""
    return key[len(folder) :]


def _folder(prefix: str) -> str:
    """The prefix of what lies under it: ``a`` is none of ``ab``."""
    if not prefix:
        return ""
    return prefix.rstrip("/") + "/"


def _operation(bucket: Bucket, prefix: str) -> str:
    """The operation that errors name."""
    what = "list the objects"
    if prefix:
        what += f" under {_folder(prefix)!r}"
    return f"{what} in the bucket {bucket.name!r}"
