# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""What a storage says of an object, and whether two answers are of the same one.

Source: GetObject in the API reference of OSS; RFC 9110, section 8.8, for what validators are worth.
"""

from __future__ import annotations

import typing as t


class ObjectInfo(t.NamedTuple):
    """All that the storage says of the object, as far as it tells one object from another.

    ``crc64`` of the whole object, none where the storage does not know it. What else it does not say is empty.
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
        """Empty where the ETag is weak, and says nothing of single bytes."""
        return "" if self.etag.startswith("W/") else self.etag

    @property
    def _content(self) -> tuple[t.Any, ...]:
        """What is the same for the same bytes only."""
        return self.strong_etag, self.crc64, self.md5

    @property
    def _origin(self) -> tuple[t.Any, ...]:
        """What differs where the object was replaced, also by the same bytes."""
        return self.version_id, self.last_modified

    @property
    def _kind(self) -> tuple[t.Any, ...]:
        """What tells objects apart where it differs, and nothing where it is the same."""
        return self.object_type, self.etag.removeprefix("W/")

    @property
    def said(self) -> list[str]:
        """The headers that tell this object from another, as far as there are any."""
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
        """Whether parts of it that come in several answers can be known to be of one object."""
        return bool(self.said)

    def is_of(self, other: ObjectInfo) -> t.Optional[bool]:
        """Whether both are the same object, by all that both say; none if they say nothing that tells."""
        if self.size != other.size or _same(self._kind, other._kind) is False:
            return False
        same_content = _same(self._content, other._content)
        return _same(self._origin, other._origin) if same_content is None else same_content


def _same(one: t.Iterable[t.Any], other: t.Iterable[t.Any]) -> t.Optional[bool]:
    """Whether all that both have is the same; none if they have nothing in common."""
    pairs = [(mine, its) for mine, its in zip(one, other) if mine not in (None, "") and its not in (None, "")]
    return all(mine == its for mine, its in pairs) if pairs else None
