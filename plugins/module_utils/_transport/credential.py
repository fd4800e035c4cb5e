# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""A credential, where it comes from, and how users can give one."""

from __future__ import annotations

import re
import typing as t

from .._base.errors import ConfigurationError

PACKAGE = "alibabacloud-credentials"
WAYS = (
    "Set the options access_key_id and access_key_secret (with security_token for a "
    "temporary key), or the environment variables ALIBABA_CLOUD_ACCESS_KEY_ID and "
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET (with ALIBABA_CLOUD_SECURITY_TOKEN), or the older "
    "ALICLOUD_ACCESS_KEY and ALICLOUD_SECRET_KEY, of the host that calls the service "
    "(for dbs_download_file, the controller)"
)
INSTALL = (
    f"{WAYS}, or install the Python package {PACKAGE} there to use profiles, OIDC, the role of an ECS instance or a"
    " credentials URI."
)


class Credential(t.NamedTuple):
    access_key_id: str
    access_key_secret: str
    security_token: str = ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.access_key_id!r}, …)"


class CredentialSource(t.Protocol):
    def get(self) -> Credential:
        """The credential to sign with now."""

    def refresh(self) -> bool:
        """Try to renew an expired credential; false where the source cannot."""


def checked(value: str, name: str) -> str:
    """Without white space around it, as a file's line has at its end. The value is not shown."""
    value = value.strip()
    if not re.fullmatch(r"[\x21-\x7e]*", value):
        raise ConfigurationError(
            f"{name} contains white space or other characters that no key has: copy it again."
        )
    return value
