# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Meaning of a rejection: whether another link cures it, and what to do otherwise.

Code and message decide, as one HTTP status stands for many causes.
Source: "HTTP 403 errors" and the other lists of error codes in the documentation of OSS.
"""

from __future__ import annotations

import re
import typing as t

from .._files.errors import KEPT
from . import tuning

# Numbers of new links in a row that are worth a try.
#: For one that has expired.
EXPIRED = tuning.MAX_NEW_LINKS
#: Where nobody can say what is wrong, one more link tells whether it was the link.
UNCLEAR = 1
#: Another link would be refused as well.
FINAL = 0

EXPIRED_HINT = f"A link is valid for a limited time: get a new one; {KEPT}"
_UNCLEAR_HINT = "If the link has expired, get a new one. Otherwise, check the message of the storage"
_UNPAID_HINT = "The account that owns the bucket is suspended, for example for unpaid bills: check it in the console"
_ENDPOINT_HINT = "The bucket has another endpoint than the link: check region, oss_region and oss_endpoint"
_PERMISSION_HINT = (
    "Grant oss:GetObject on the object to the user whose key signed the link"
)


class Verdict(t.NamedTuple):
    """A judgement of a rejection. ``new_links``: number of new links in a row that are worth a try."""

    new_links: int
    hint: str


#: The first row whose code and message both match decides. An empty pattern matches all.
_TABLE = (
    # The link, or the temporary key that signed it, is over.
    (r".*Expired.*|ExpiredToken", "", EXPIRED, EXPIRED_HINT),
    (
        "AccessDenied|InvalidAccessKeyId|AuthenticationFailed|",
        r"expired|specified time frame",
        EXPIRED,
        EXPIRED_HINT,
    ),
    # What signed the link may have been replaced since.
    (
        "InvalidSecurityToken|InvalidAccessKeyId|AccessKeyIdAndSecurityTokenNotMatch",
        "",
        UNCLEAR,
        EXPIRED_HINT,
    ),
    (
        "SignatureDoesNotMatch",
        "",
        FINAL,
        "The link was changed after it was signed: use it exactly as it was issued",
    ),
    (
        "RequestTimeTooSkewed",
        "",
        FINAL,
        "The clock of the host that signed the link is wrong: synchronize it. For a file in a bucket of your own, that is"
        " the controller",
    ),
    # The object, or its bucket.
    (
        "NoSuchKey",
        "",
        FINAL,
        "Check the link. The files of a task are kept for three days: after that, create a new task",
    ),
    ("NoSuchBucket", "", FINAL, "Check bucket and region"),
    (
        "InvalidObjectState",
        "",
        FINAL,
        "The object is archived: restore it in its bucket, wait until it is restored, and run it again",
    ),
    # The account.
    (
        "UserDisable|InDebt|InDebtOverdue|AbnormalBucketOwnerStatus|BucketDisable",
        "",
        FINAL,
        _UNPAID_HINT,
    ),
    # The place.
    (
        "AccessDenied",
        r"\bvpc\b",
        FINAL,
        "A policy of this host's VPC denies access to the bucket: check that policy, or "
        "download from another network",
    ),
    ("AccessDenied", "specified endpoint", FINAL, _ENDPOINT_HINT),
    (
        "PermanentRedirect|TemporaryRedirect|SecondLevelDomainForbidden|NonStandardHostForbidden",
        "",
        FINAL,
        _ENDPOINT_HINT,
    ),
    # Who may.
    (
        "AccessDenied",
        "bucket policy",
        FINAL,
        "A bucket policy denies access, perhaps for this host's address: check that policy",
    ),
    (
        "AccessDenied|AccessForbidden",
        "referer|hotlink",
        FINAL,
        "The hotlink protection of the bucket denies access: allow an empty Referer",
    ),
    (
        ".*",
        "kms",
        FINAL,
        "The object is encrypted: allow the user whose key signed the link to use the KMS key",
    ),
    (
        "AccessDenied|BucketNotBelongTo",
        r"authorizer|\bacl\b|right to access|belong|permission",
        FINAL,
        _PERMISSION_HINT,
    ),
)


def verdict_on(
    code: str, message: str, status: int, endpoint: str = ""
) -> Verdict:
    """Judge a rejection. ``endpoint``: the host that the storage names in place of the requested one."""
    for codes, words, new_links, hint in _TABLE:
        if re.fullmatch(codes, code) and re.search(
            words, message, re.IGNORECASE
        ):
            # The storage is quoted only if that is a host and nothing else.
            is_host = re.fullmatch(r"[A-Za-z0-9.:-]{1,200}", endpoint)
            if hint is _ENDPOINT_HINT and is_host:
                hint = f"{hint}; the storage names {endpoint}"
            return Verdict(new_links, hint)
    if status in (401, 407):
        return Verdict(
            FINAL, "Check the user name and the password in the link"
        )
    if status == 403:
        return Verdict(UNCLEAR, _UNCLEAR_HINT)
    if status in (404, 410):
        return Verdict(FINAL, "Check the link")
    return Verdict(FINAL, "")
