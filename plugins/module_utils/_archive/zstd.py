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
from .errors import InvalidArchiveError, damaged, truncated

if t.TYPE_CHECKING:
    from .source import Source


#: Bytes of a skippable frame that are skipped at a time.
_READ = 256 << 10
#: Largest block in bytes, RFC 8878, section 3.1.1.2.4.
_MAX_BLOCK = 128 << 10
#: Window in bytes that is used however little memory there is. It is the default limit of zstd.
_USUAL_WINDOW = 128 << 20
#: Share of the available memory for a larger window, so that the host keeps the rest. And the largest one of decoders, in bytes.
_MEMORY_SHARE = 0.5
_LARGEST_WINDOW = 1 << 31


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
        # One of the sixteen magic numbers of frames to be skipped, which tools use for their own data.
        if number >> 4 == 0x184D2A5:
            size = int.from_bytes(_read_exactly(source, 4), "little")
            while size:
                size -= len(_read_exactly(source, min(size, _READ)))
            continue
        if number != 0xFD2FB528 or len(magic) < 4:
            raise damaged(
                f"there is no Zstandard frame before byte {source.read} of the archive, where one has to be"
            )
        frame = _frame(source, magic)
        try:
            yield from _content(source, frame, decompressor_of(frame.window))
        except library_error as error:
            raise damaged(
                f"its Zstandard stream, before byte {source.read} of the archive: {error}"
            ) from None


def _frame(source: Source, magic: bytes) -> _Frame:
    """Read the header of a frame. Raises InvalidArchiveError for a valid frame that cannot be decompressed here."""
    descriptor = _read_exactly(source, 1)
    flags = descriptor[0]
    single, checksum = flags >> 5 & 1, flags >> 2 & 1
    # A reserved bit, which a later version may give a meaning.
    if flags >> 3 & 1:
        hint = "Decompress it with the newest zstd first"
        raise InvalidArchiveError(
            "it needs a newer version of Zstandard than this; it need not be damaged",
            hint=hint,
        )
    window = _read_exactly(source, 1 - single)
    dictionary = _read_exactly(source, (0, 1, 2, 4)[flags & 3])
    content_size = _read_exactly(source, (single, 2, 4, 8)[flags >> 6])
    if any(dictionary):
        number = int.from_bytes(dictionary, "little")
        hint = "Decompress it with zstd -d -D and the dictionary first"
        raise InvalidArchiveError(
            f"it was compressed with the dictionary {number}, which is not at hand; it is not damaged",
            hint=hint,
        )
    if single:
        # The window is the whole content. Sizes in two bytes begin with 256.
        size = int.from_bytes(content_size, "little") + (
            256 if len(content_size) == 2 else 0
        )
    else:
        # Five bits of exponent, three of mantissa: RFC 8878, section 3.1.1.1.2.
        base = 1 << 10 + (window[0] >> 3)
        size = base + (base >> 3) * (window[0] & 7)
    _check_window(size)
    return _Frame(
        magic + descriptor + window + dictionary + content_size, size, bool(checksum)
    )


def _check_window(size: int) -> None:
    """Check that there is memory for a window. Raises InvalidArchiveError."""
    if size <= _USUAL_WINDOW:
        return
    needs = f"it needs a window of {_mebibytes(size)} to be decompressed"
    if size > _LARGEST_WINDOW:
        hint = f"Have it compressed once more, with a window of at most {_mebibytes(_LARGEST_WINDOW)}"
        raise InvalidArchiveError(
            f"{needs}, which is more than decoders can; it need not be damaged", hint=hint
        )
    memory = available_memory()
    if memory is not None and size > memory * _MEMORY_SHARE:
        raise InvalidArchiveError(
            f"{needs}, and of the {_mebibytes(memory)} of memory that are available here, at most half is used for that;"
            " it is not damaged",
            hint=f"Unpack it where at least {_mebibytes(round(size / _MEMORY_SHARE))} of memory are available",
        )


def _mebibytes(size: int) -> str:
    return f"{-(-size >> 20)} MiB"


def _content(source: Source, frame: _Frame, decompressor: t.Any) -> t.Iterator[bytes]:
    """Decompress the blocks of a frame."""
    pending = frame.header
    is_last = False
    while not is_last:
        header = _read_exactly(source, 3)
        fields = int.from_bytes(header, "little")
        is_last, kind, size = bool(fields & 1), fields >> 1 & 3, fields >> 3
        if size > _MAX_BLOCK or kind == 3:
            raise damaged(f"a Zstandard block before byte {source.read} of the archive")
        # Of a block that repeats one byte, only that byte is stored.
        pending += header + _read_exactly(source, 1 if kind == 1 else size)
        chunk = decompressor.decompress(
            pending
            + (_read_exactly(source, 4) if is_last and frame.has_checksum else b"")
        )
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
        maximum = zstd.DecompressionParameter.window_log_max
        return (
            lambda window: zstd.ZstdDecompressor(
                options={maximum: max(_USUAL_WINDOW, window - 1).bit_length()}
            ),
            zstd.ZstdError,
        )
    try:
        import zstandard
    except ImportError:
        raise MissingLibraryError(
            "zstandard", "to unpack .tar.zst", traceback.format_exc()
        ) from None
    return (
        lambda window: zstandard.ZstdDecompressor(
            max_window_size=max(_USUAL_WINDOW, window)
        ).decompressobj(),
        zstandard.ZstdError,
    )
