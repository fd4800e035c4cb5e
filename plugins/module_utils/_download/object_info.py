# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Description of an object by a storage, and comparison of two.

Source: GetObject in the API reference of OSS; RFC 9110, section 8.8, for what validators are worth.
"""

from __future__ import annotations

import typing as t

_Values = tuple[t.Union[str, int, None], ...]
#: A header that the storage does not send.
_ABSENT = (None, "")


class ObjectInfo(t.NamedTuple):
    """Headers that tell one object from another. ``crc64``: of the whole object.

    A header that the storage does not send is empty, or None for ``crc64``.
    """

    size: int
    etag: str
    crc64: t.Optional[int]
    last_modified: str
    md5: str = ""
    version_id: str = ""
    object_type: str = ""

    @property
    def strong_etag(self) -> str:
        """The ETag; empty if it is weak, as it says nothing about single bytes then."""
        if self.etag.startswith("W/"):
            return ""
        return self.etag

    @property
    def identifying_headers(self) -> list[str]:
        """Names of the headers that tell this object from another."""
        values = {
            "ETag": self.strong_etag,
            "x-oss-hash-crc64ecma": self.crc64,
            "Content-MD5": self.md5,
            "x-oss-version-id": self.version_id,
            "Last-Modified": self.last_modified,
        }
        return [name for name, value in values.items() if value not in _ABSENT]

    @property
    def is_identified(self) -> bool:
        """Tell whether parts from several responses can be known to be of one object."""
        return bool(self.identifying_headers)

    def is_of(self, other: ObjectInfo) -> t.Optional[bool]:
        """Tell whether both are the same object; None if nothing proves it."""
        # A difference in these proves something, but not that they are equal.
        if self.size != other.size or _same(_kind(self), _kind(other)) is False:
            return False
        has_same_content = _same(_content(self), _content(other))
        if has_same_content is not None:
            return has_same_content
        return _same(_origin(self), _origin(other))


def _kind(info: ObjectInfo) -> _Values:
    """Values that tell objects apart where they differ, and prove nothing where they are equal."""
    return info.object_type, info.etag.removeprefix("W/")


def _content(info: ObjectInfo) -> _Values:
    """Values that are equal for equal bytes only."""
    return info.strong_etag, info.crc64, info.md5


def _origin(info: ObjectInfo) -> _Values:
    """Values that differ after the object was replaced, also by equal bytes."""
    return info.version_id, info.last_modified


def _same(values: _Values, others: _Values) -> t.Optional[bool]:
    """Tell whether all values that both have are equal; None if they share none."""
    found = None
    for value, other in zip(values, others):
        if value in _ABSENT or other in _ABSENT:
            continue
        if value != other:
            return False
        found = True
    return found
