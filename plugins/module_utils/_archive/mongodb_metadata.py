# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Metadata of a collection of MongoDB, as mongodump writes it, and the names of its files."""

from __future__ import annotations

import json
import typing as t
import urllib.parse

from . import tuning
from .errors import InvalidArchiveError, damaged
from .formats import printable_name

#: Length of a name that mongodump has shortened: its beginning, ``%24`` and a checksum.
_SHORTENED = 238


class Metadata(t.NamedTuple):
    """Metadata. ``name``: of the collection, None in files of old versions of mongodump."""

    name: t.Optional[str]
    is_view: bool
    is_time_series: bool


def parse_metadata(data: bytes, printable: str) -> Metadata:
    """Parse the content of a metadata file of the collection with that printable name. mongorestore takes an empty one, too."""
    if len(data) > tuning.MAX_METADATA:
        raise InvalidArchiveError(
            f"the metadata of {printable} has more than {tuning.MAX_METADATA} bytes",
            hint="Use layout=as_is to extract it as it is. Nothing was extracted",
        )
    try:
        facts = json.loads(data or b"{}")
        options = facts.get("options") or {}
        name, kind = facts.get("collectionName"), facts.get("type")
        return Metadata(
            name if isinstance(name, str) and name else None,
            kind == "view" or "viewOn" in options,
            kind == "timeseries" or "timeseries" in options,
        )
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise damaged(
            f"the metadata of {printable} is not a JSON object"
        ) from None


def dump_name_of(
    directory: str, stated: t.Optional[str], printable: str
) -> str:
    """Return the name of a collection's files, without their suffixes, from the name of its directory.

    mongorestore decodes names of files as those of a form in a URL: ``+`` is a space, and ``%2F`` a slash. Whether the
    names of an export are encoded is not documented, so that a name with such a character needs its metadata, which
    state the collection's own name.
    """
    decoded = _decoded(directory)
    plain = directory.removeprefix("system.buckets.")
    if len(directory) == _SHORTENED and "%24" in directory and stated:
        # mongorestore takes the name from the metadata itself.
        return directory
    if stated is None:
        if decoded == directory:
            return directory
        if decoded is not None:
            raise InvalidArchiveError(
                f"the name of {printable} can also mean {printable_name(decoded)}, and its metadata do not tell which it is",
                hint="Use layout=as_is, and restore this collection by its name. Nothing was extracted",
            )
    elif stated in (decoded, _decoded(plain)):
        return directory
    elif stated not in (directory, plain):
        raise InvalidArchiveError(
            f"the metadata of {printable} are those of a collection {printable_name(stated)}",
            hint="Use layout=as_is to look into it. Nothing was extracted",
        )
    encoded = urllib.parse.quote_plus(directory)
    if len(encoded) >= _SHORTENED:
        raise InvalidArchiveError(
            f"the encoded name of {printable} is too long for mongorestore",
            hint="Use layout=as_is, and restore this collection by its name. Nothing was extracted",
        )
    return encoded


def _decoded(name: str) -> t.Optional[str]:
    """The name of the collection that mongorestore takes from a name; None if it can take none."""
    for piece in name.split("%")[1:]:
        if len(piece) < 2 or not set(piece[:2]) <= set(
            "0123456789abcdefABCDEF"
        ):
            return None
    try:
        return urllib.parse.unquote_plus(name, errors="strict")
    except UnicodeDecodeError:
        return None
