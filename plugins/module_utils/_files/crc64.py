# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""CRC-64/XZ, the checksum that the storage gives as ``x-oss-hash-crc64ecma``.

Computed by the package fastcrc, if it is installed; or by liblzma, a library that nearly all systems have for Python, in about
five times as long; or by a table, in a thousand times as long.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
import typing as t
from concurrent.futures import CancelledError, ThreadPoolExecutor

from .system import buffer

_POLYNOMIAL = 0xC96C5795D7870F42
_MASK = 0xFFFFFFFFFFFFFFFF
#: Check value of CRC-64/XZ in the catalogues of checksums.
_TEST, _SUM_OF_TEST = b"123456789", 0x995DC9BBDF1939FA
#: Bytes of one read, which fit into the cache of a processor.
_STEP = 1 << 18
#: Bytes between two calls of ``check``: less than a tenth of a second.
_CHECK_EVERY = 1 << 26
#: Smallest part for a thread, in bytes, and largest number of threads: more would compete for the disk.
_SHARE = 1 << 26
_MAX_THREADS = 8

Buffer = t.Union[bytes, bytearray, memoryview]


def crc64(data: Buffer, value: int = 0) -> int:
    """Checksum of the bytes; with the value of those before them, that of all."""
    return _implementation()(data, value)


def is_slow() -> bool:
    """Tell whether only the table is there."""
    return _implementation() is _by_table


def crc64_of(file: int, start: int, stop: int, check: t.Callable[[], t.Any] = int) -> int:
    """Checksum of a part of an open file, or of less if the file ends. ``check`` is called now and then, and may raise."""
    view = buffer(_STEP)
    value = 0
    checked = start - _CHECK_EVERY
    while start < stop:
        if start - checked >= _CHECK_EVERY:
            checked = start
            check()
        count = os.preadv(file, [view[: min(_STEP, stop - start)]], start)
        if not count:
            break
        value = crc64(view[:count], value)
        start += count
    return value


def crc64_of_file(path: str, check: t.Callable[[], t.Any] = int) -> int:
    """Checksum of a whole file, computed by all processors. Raises OSError, and the errors of ``check``."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(file).st_size
        share = max(_SHARE, -(-size // min(_MAX_THREADS, os.cpu_count() or 1)))
        starts = range(0, size, share)
        if len(starts) < 2:
            return crc64_of(file, 0, size, check)
        is_over = threading.Event()

        def check_share() -> None:
            if is_over.is_set():
                raise CancelledError
            check()

        # Threads, as the checksum is computed without Python's lock. Leaving the block waits for all of them.
        with ThreadPoolExecutor(len(starts)) as executor:
            try:
                shares = [
                    executor.submit(
                        crc64_of, file, start, min(size, start + share), check_share
                    )
                    for start in starts
                ]
                value = 0
                for start, future in zip(starts, shares):
                    value = combined(
                        value, future.result(), min(size, start + share) - start
                    )
                return value
            finally:
                # After an error the other threads end at their next check.
                is_over.set()
    finally:
        os.close(file)


def combined(first: int, second: int, length: int) -> int:
    """Checksum of two parts in a row, by the checksum of each and the length of the second."""
    return _product(_power_of_x(8 * length), first) ^ second


def _product(left: int, right: int) -> int:
    """Product of two polynomials over GF(2), modulo that of the CRC. The highest bit is the lowest power."""
    product = 0
    for bit in range(63, -1, -1):
        if left >> bit & 1:
            product ^= right
        right = right >> 1 ^ (_POLYNOMIAL if right & 1 else 0)
    return product


@functools.lru_cache(maxsize=64)
def _power_of_x(exponent: int) -> int:
    power, square = 1 << 63, 1 << 62
    while exponent:
        if exponent & 1:
            power = _product(power, square)
        square = _product(square, square)
        exponent >>= 1
    return power


@functools.cache
def _implementation() -> t.Callable[[Buffer, int], int]:
    return _of_fastcrc() or _of_liblzma() or _by_table


def _of_liblzma() -> t.Optional[t.Callable[[Buffer, int], int]]:
    # The names on Linux, and on macOS with its usual package managers.
    for name in ("liblzma.so.5", "liblzma.5.dylib", "liblzma.dylib"):
        try:
            function = ctypes.CDLL(name).lzma_crc64
            break
        except (OSError, AttributeError):
            continue
    else:
        return None
    function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint64)
    function.restype = ctypes.c_uint64
    first = ctypes.c_char.from_buffer
    addressof = ctypes.addressof

    def by_liblzma(data: Buffer, value: int) -> int:
        count = len(data)
        if not count:
            return value
        # ctypes gives no address of bytes, which cannot be changed, but passes them itself.
        if isinstance(data, bytes):
            return int(function(data, count, value))
        return int(function(addressof(first(data)), count, value))

    return by_liblzma


def _of_fastcrc() -> t.Optional[t.Callable[[Buffer, int], int]]:
    try:
        from fastcrc.crc64 import xz

        # Old versions take only bytes objects, so that all data would be copied first.
        is_fit = xz(memoryview(_TEST), 0) == _SUM_OF_TEST
    except (ImportError, TypeError):
        return None
    return t.cast("t.Callable[[Buffer, int], int]", xz) if is_fit else None


@functools.cache
def _table() -> tuple[int, ...]:
    entries = []
    for entry in range(256):
        for _unused in range(8):
            entry = entry >> 1 ^ (_POLYNOMIAL if entry & 1 else 0)
        entries.append(entry)
    return tuple(entries)


def _by_table(data: Buffer, value: int) -> int:
    table = _table()
    value ^= _MASK
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ value >> 8
    return value ^ _MASK
