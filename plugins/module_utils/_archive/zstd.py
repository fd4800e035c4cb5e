# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Decompression of Zstandard, by Python 3.14 or the package zstandard.

Source: RFC 8878, "Zstandard Compression and the application/zstd Media Type".
"""

from __future__ import annotations

import importlib
import traceback
import typing as t

from .._base.errors import MissingLibraryError
from .._files.system import available_memory
from . import tuning
from .errors import InvalidArchiveError, damaged, truncated

if t.TYPE_CHECKING:
    from .source import Source

#: Largest block in bytes, RFC 8878, section 3.1.1.2.4.
_MAX_BLOCK = 128 << 10
#: Types of blocks, RFC 8878, section 3.1.1.2.2.
_REPEATED_BYTE = 1
_RESERVED_BLOCK = 3
#: The first four bytes of a frame as a number, and those of frames to be skipped without the last four bits, which differ.
_FRAME = 0xFD2FB528
_SKIPPABLE_FRAMES = 0x184D2A5
#: Lengths of two fields in the header of a frame, by the flags that tell them: RFC 8878, section 3.1.1.1.1.
_DICTIONARY_LENGTHS = (0, 1, 2, 4)
_CONTENT_SIZE_LENGTHS = (0, 2, 4, 8)


class _Frame(t.NamedTuple):
    """The header of a frame. ``window``: decompressed bytes to keep in memory, as later ones refer to them."""

    header: bytes
    window: int
    has_checksum: bool


def unzstd(source: Source) -> t.Iterator[bytes]:
    """Decompress all frames, block by block. One block gives at most 128 KiB; a few bytes of several can give gigabytes."""
    decompressor_of, library_error = _library()
    while True:
        magic = source.read_exactly(4)
        if not magic:
            return
        number = int.from_bytes(magic, "little")
        # Tools use these frames for their own data.
        if number >> 4 == _SKIPPABLE_FRAMES:
            _skip_frame(source)
            continue
        if number != _FRAME or len(magic) < 4:
            raise damaged(
                f"there is no valid Zstandard frame before byte {source.read}"
            )
        frame = _frame(source, magic)
        try:
            yield from _content(source, frame, decompressor_of(frame.window))
        except library_error as error:
            raise damaged(
                f"the Zstandard stream cannot be read before byte {source.read}: {error}"
            ) from None


def _skip_frame(source: Source) -> None:
    size = int.from_bytes(_read_exactly(source, 4), "little")
    # Not at once, as it may have gigabytes.
    while size:
        size -= len(_read_exactly(source, min(size, tuning.READ_SIZE)))


def _frame(source: Source, magic: bytes) -> _Frame:
    """Read the header of a frame. Raises InvalidArchiveError for a valid frame that cannot be decompressed here."""
    descriptor = _read_exactly(source, 1)
    flags = descriptor[0]
    single = flags >> 5 & 1
    checksum = flags >> 2 & 1
    # A reserved bit, which a later version may give a meaning.
    if flags >> 3 & 1:
        raise InvalidArchiveError(
            "the archive needs a newer version of Zstandard; the archive may be intact",
            hint="Decompress it with the latest zstd first",
        )
    window = _read_exactly(source, 1 - single)
    dictionary = _read_exactly(source, _DICTIONARY_LENGTHS[flags & 3])
    # With a single segment, there is always a size of at least one byte, as it is that of the window, too.
    length = max(single, _CONTENT_SIZE_LENGTHS[flags >> 6])
    content_size = _read_exactly(source, length)
    if any(dictionary):
        number = int.from_bytes(dictionary, "little")
        raise InvalidArchiveError(
            f"the archive was compressed with the Zstandard dictionary {number}, which is not available; it is not damaged",
            hint="Decompress it with zstd -d -D and the dictionary first",
        )
    size = (
        _window_size(window[0]) if not single else _content_size(content_size)
    )
    _check_window(size)
    header = magic + descriptor + window + dictionary + content_size
    return _Frame(header, size, bool(checksum))


def _window_size(descriptor: int) -> int:
    """Size by a window descriptor: five bits of exponent, three of mantissa. RFC 8878, section 3.1.1.1.2."""
    base = 1 << 10 + (descriptor >> 3)
    return base + (base >> 3) * (descriptor & 7)


def _content_size(field: bytes) -> int:
    """Size of the content of a frame by that field. RFC 8878, section 3.1.1.1.4."""
    size = int.from_bytes(field, "little")
    # Sizes in two bytes begin with 256, as one byte has the smaller ones.
    if len(field) == 2:
        size += 256
    return size


def _check_window(size: int) -> None:
    """Check that there is memory for a window. Raises InvalidArchiveError."""
    if size <= tuning.USUAL_WINDOW:
        return
    needs = (
        f"the archive needs a window of {_mebibytes(size)} to be decompressed"
    )
    if size > tuning.MAX_WINDOW:
        largest = _mebibytes(tuning.MAX_WINDOW)
        raise InvalidArchiveError(
            f"{needs}, which is more than Zstandard supports; the archive may be intact",
            hint=f"Compress it again with a window of at most {largest}",
        )
    memory = available_memory()
    if memory is not None and size > memory * tuning.MEMORY_SHARE:
        enough = _mebibytes(round(size / tuning.MEMORY_SHARE))
        raise InvalidArchiveError(
            f"{needs}, but at most half of the {_mebibytes(memory)} of available memory "
            "is used for it; it is not damaged",
            hint=f"Extract it on a host with at least {enough} of available memory",
        )


def _mebibytes(size: int) -> str:
    return f"{-(-size >> 20)} MiB"


def _content(
    source: Source, frame: _Frame, decompressor: t.Any
) -> t.Iterator[bytes]:
    """Decompress the blocks of a frame."""
    pending = frame.header
    is_last = False
    while not is_last:
        header = _read_exactly(source, 3)
        fields = int.from_bytes(header, "little")
        is_last = bool(fields & 1)
        kind = fields >> 1 & 3
        size = fields >> 3
        if size > _MAX_BLOCK or kind == _RESERVED_BLOCK:
            raise damaged(
                f"a Zstandard block is invalid before byte {source.read}"
            )
        # Only that byte is stored, and its number in place of the size.
        if kind == _REPEATED_BYTE:
            size = 1
        pending += header + _read_exactly(source, size)
        if is_last and frame.has_checksum:
            pending += _read_exactly(source, 4)
        chunk = decompressor.decompress(pending)
        pending = b""
        if chunk:
            yield chunk


def _read_exactly(source: Source, count: int) -> bytes:
    data = source.read_exactly(count)
    if len(data) < count:
        raise truncated(source.size, "Zstandard frame")
    return data


def _library() -> tuple[t.Callable[[int], t.Any], type[Exception]]:
    """A function that makes a decompressor for one frame with a given window, and the error of the library."""
    try:
        zstd: t.Any = importlib.import_module("compression.zstd")
    except ImportError:
        pass
    else:
        return _by_python(zstd), zstd.ZstdError
    try:
        import zstandard
    except ImportError:
        raise MissingLibraryError(
            "zstandard", "to extract .tar.zst archives", traceback.format_exc()
        ) from None

    def by_package(window: int) -> t.Any:
        size = max(tuning.USUAL_WINDOW, window)
        return zstandard.ZstdDecompressor(max_window_size=size).decompressobj()

    return by_package, zstandard.ZstdError


def _by_python(zstd: t.Any) -> t.Callable[[int], t.Any]:
    parameter = zstd.DecompressionParameter.window_log_max

    def by_python(window: int) -> t.Any:
        # As an exponent, rounded up.
        log = max(tuning.USUAL_WINDOW, window - 1).bit_length()
        return zstd.ZstdDecompressor(options={parameter: log})

    return by_python
