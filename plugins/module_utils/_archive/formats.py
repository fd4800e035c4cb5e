# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Formats of archives, detected by the beginning of a file."""

from __future__ import annotations

import contextlib
import enum
import os
import re
import sys
import tarfile

from .._base.text import printable
from . import tuning
from .errors import InvalidArchiveError
from .source import BLOCK

# With surrogateescape, names become the bytes again that they were, whatever it is.
ENCODING = sys.getfilesystemencoding()


class Format(enum.Enum):
    """A format that can be extracted."""

    TAR_GZ = "tar.gz"
    TAR_ZST = "tar.zst"
    TAR = "tar"


#: The first bytes of a gzip member, of a Zstandard frame, and of a frame that its decoders skip.
_FORMATS = {
    rb"\x1f\x8b": Format.TAR_GZ,
    rb"\x28\xb5\x2f\xfd": Format.TAR_ZST,
    rb"[\x50-\x5f]\x2a\x4d\x18": Format.TAR_ZST,
}


def printable_name(name: str) -> str:
    """A name in a message: on one line, not too long, and without what a terminal would obey."""
    return printable(valid_text(name), tuning.MAX_SHOWN)


def valid_text(name: str) -> str:
    """A name without changes, but with ``\\xff`` for a byte that is not UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def detect_format(beginning: bytes) -> Format:
    """Detect the format by the first 512 bytes. Raises InvalidArchiveError, which names another format."""
    for signature, format in _FORMATS.items():
        if re.match(signature, beginning):
            return format
    # A tar has no signature in old formats, but a checksum in its first header.
    with contextlib.suppress(tarfile.HeaderError, ValueError):
        tarfile.TarInfo.frombuf(beginning[:BLOCK], ENCODING, "surrogateescape")
        return Format.TAR
    what, hint = describe_content(beginning)
    *others, last = (f".{format.value}" for format in Format)
    known = f"{', '.join(others)} or {last}"
    raise InvalidArchiveError(
        f"the file is not a {known} archive: it {what}", hint=hint
    )


_RESPONSE_HINT = "It may be the error page of an expired link or of a proxy: look into it, and download the archive again"
#: What else a file may be: the beginning of its content, the end of a sentence, and a hint.
_SIGNATURES = (
    (
        rb"XBSTCK01",
        "is an xbstream, a physical backup",
        "Extract it with xbstream -x, then xtrabackup --decompress",
    ),
    (
        rb"qpress10",
        "is a qpress archive, a physical backup",
        "Extract it with qpress -d, then xbstream -x",
    ),
    (rb"(?i)\s*<(!doctype html|html)", "is an HTML page", _RESPONSE_HINT),
    (rb"\s*<(\?xml|Error)", "is an XML document", _RESPONSE_HINT),
    (rb"\s*\{\s*\"", "is a JSON document", _RESPONSE_HINT),
    (rb"\xfd7zXZ\0", "is compressed with xz", "Extract it with tar -xJ"),
    (rb"BZh[1-9]", "is compressed with bzip2", "Extract it with tar -xj"),
    (
        rb"\x04\x22\x4d\x18",
        "is compressed with lz4",
        "Decompress it with lz4 -d first",
    ),
    (rb"PK\x03\x04", "is a ZIP archive", "Extract it with unzip"),
    (rb"7z\xbc\xaf\x27\x1c", "is a 7-Zip archive", "Extract it with 7z x"),
    (rb"LZIP", "is compressed with lzip", "Extract it with tar --lzip -x"),
    (rb"\x1f\x9d", "is compressed with compress", "Extract it with tar -xZ"),
    (
        rb"\xff\x06\0\0sNaPpY",
        "is compressed with Snappy",
        "Decompress it first",
    ),
    (
        rb"[\x1e\x22-\x27]\xb5\x2f\xfd",
        "is compressed with a version of zstd before 0.8",
        "Decompress it with zstd -d first",
    ),
    (
        rb"\x37\xa4\x30\xec",
        "is a zstd dictionary",
        "Give the archive that was compressed with it",
    ),
    (
        rb"Salted__|-----BEGIN PGP MESSAGE|age-encryption\.org/",
        "is encrypted",
        "Decrypt it first",
    ),
    (
        rb"\0{512}",
        "begins with zeros",
        "The download may be incomplete: download it again",
    ),
)


def describe_content(beginning: bytes) -> tuple[str, str]:
    """A description of another content, as the end of a sentence, and a hint."""
    if not beginning:
        return "is empty", "Download it again"
    for pattern, what, hint in _SIGNATURES:
        if re.match(pattern, beginning):
            return what, hint
    # The content is not quoted: whoever sees the message may not be allowed to read the file.
    return (
        "is in an unknown format",
        "Check that src is the archive of a download task",
    )
