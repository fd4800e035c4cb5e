# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""What users can do about the errors of a gateway."""

from __future__ import annotations

import re

_HINTS = (
    (
        r"(SignatureDoesNotMatch|IncompleteSignature)",
        "The access key secret does not belong to the access key ID, or a proxy changes "
        "the request: check access_key_secret (or ALIBABA_CLOUD_ACCESS_KEY_SECRET)",
    ),
    (
        r"InvalidAccessKeyId",
        "The access key ID does not exist or is disabled: check access_key_id (or ALIBABA_CLOUD_ACCESS_KEY_ID); a"
        " temporary key needs its security_token as well",
    ),
    (
        r"InvalidSecurityToken|MissingSecurityToken",
        "The temporary credential is expired or its token does not belong to the key: "
        "get a new one, and give all its three parts",
    ),
    (
        r"(Forbidden\.RAM|NoPermission|Request\.Forbidden|\w+\.NoPermission)",
        "Grant the caller the RAM action {ram_action}",
    ),
    (
        r"InvalidTimeStamp|RequestTimeTooSkewed",
        "The clock of this host differs from the service's: synchronize it",
    ),
    (
        r"Throttling",
        "Lower max_connections to send fewer requests at a time, or raise request_timeout",
    ),
    (
        r"InvalidVersion|InvalidAction",
        "The host does not serve this API: check endpoint",
    ),
)


def hint_for(code: str, ram_action: str) -> str:
    """What the user can do about an error of the gateway; empty where nobody can say."""
    for pattern, hint in _HINTS:
        if re.match(pattern, code):
            return hint.format(ram_action=ram_action)
    return ""
