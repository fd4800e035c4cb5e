# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The objects of a bucket, and signed links to them."""

from __future__ import annotations

import re
import typing as t
from urllib.parse import urlsplit

from .._base.http_options import HttpOptions
from .._oss import objects
from .._plugin.checks import Options, check_identifier
from .._plugin.client import credentials_of
from .._plugin.options import http_options_of, region_of
from .._transport.credential import CredentialSource
from .._transport.endpoints import known_region


class BucketObjects(t.NamedTuple):
    """How to ask for objects. ``private``: by the private network. ``duration``: of links, in seconds."""

    region: str
    private: bool
    credentials: CredentialSource
    duration: int
    connection: HttpOptions
    endpoint: t.Optional[str]

    @classmethod
    def parse(cls, options: Options) -> BucketObjects:
        """Check the completed options. Raise ConfigurationError."""
        return cls(
            region=_region_of_bucket(options),
            private=is_private(options),
            credentials=credentials_of(options),
            duration=options["duration"],
            connection=http_options_of(options),
            endpoint=options["oss_endpoint"],
        )

    def links(self, oss_path: str) -> list[tuple[str, str]]:
        """Return the name, relative to ``oss://bucket/path``, and a link of each object under it.

        Raise any BackupError.
        """
        bucket, _unused, path = oss_path.removeprefix("oss://").partition("/")
        name = check_identifier("bucket", bucket)
        return objects.object_links(
            objects.Bucket(name, self.region, self.private, self.endpoint),
            path,
            credential=self.credentials.get(),
            duration=self.duration,
            connection=self.connection,
        )


def is_private(options: Options) -> bool:
    """Return whether to use the private network. ``auto``: as the service itself is asked."""
    if options["network"] != "auto":
        return bool(options["network"] == "vpc")
    endpoint = str(options["endpoint"] or "")
    host = (
        urlsplit(endpoint if "://" in endpoint else f"//{endpoint}").hostname
        or ""
    )
    return bool(re.match(r"[a-z]+(-api)?-vpc\.", host))


def _region_of_bucket(options: Options) -> str:
    """Return the region, checked unless the address of OSS is given."""
    option = "oss_region" if options["oss_region"] else "region"
    region = options["oss_region"] or region_of(options)
    if not options["oss_endpoint"]:
        known_region(option, region, "set oss_endpoint")
    return region
