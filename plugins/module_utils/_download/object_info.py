# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Description of an object by a storage, and comparison of two.

Source: GetObject in the API reference of OSS; RFC 9110, section 8.8, for what validators are worth.
"""

from __future__ import annotations

import typing as t


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
        return "" if self.etag.startswith("W/") else self.etag

    @property
    def _content(self) -> tuple[t.Any, ...]:
        """Values that are equal for equal bytes only."""
        return self.strong_etag, self.crc64, self.md5

    @property
    def _origin(self) -> tuple[t.Any, ...]:
        """Values that differ after the object was replaced, also by equal bytes."""
        return self.version_id, self.last_modified

    @property
    def _kind(self) -> tuple[t.Any, ...]:
        """Values that tell objects apart where they differ, and prove nothing where they are equal."""
        return self.object_type, self.etag.removeprefix("W/")

    @property
    def said(self) -> list[str]:
        """Names of the headers that tell this object from another."""
        values = {
            "ETag": self.strong_etag,
            "x-oss-hash-crc64ecma": self.crc64,
            "Content-MD5": self.md5,
            "x-oss-version-id": self.version_id,
            "Last-Modified": self.last_modified,
        }
        return [name for name, value in values.items() if value not in (None, "")]

    @property
    def is_identified(self) -> bool:
        """Tell whether parts from several responses can be known to be of one object."""
        return bool(self.said)

    def is_of(self, other: ObjectInfo) -> t.Optional[bool]:
        """Tell whether both are the same object; None if nothing proves it."""
        if self.size != other.size or _same(self._kind, other._kind) is False:
            return False
        same_content = _same(self._content, other._content)
        return (
            _same(self._origin, other._origin) if same_content is None else same_content
        )


def _same(one: t.Iterable[t.Any], other: t.Iterable[t.Any]) -> t.Optional[bool]:
    """Tell whether all values that both have are equal; None if they share none."""
    pairs = [
        (mine, its)
        for mine, its in zip(one, other)
        if mine not in (None, "") and its not in (None, "")
    ]
    return all(mine == its for mine, its in pairs) if pairs else None
