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

from . import tuning
from .system import buffer

_POLYNOMIAL = 0xC96C5795D7870F42
_MASK = 0xFFFFFFFFFFFFFFFF
#: Bytes for a test, and their checksum: the check value of CRC-64/XZ in the catalogues of checksums.
_TEST = b"123456789"
_CRC64_OF_TEST = 0x995DC9BBDF1939FA

Buffer = t.Union[bytes, bytearray, memoryview]
Implementation = t.Callable[[Buffer, int], int]
Check = t.Callable[[], t.Any]


def crc64(data: Buffer, value: int = 0) -> int:
    """Checksum of the bytes; with the value of those before them, that of all."""
    return _implementation()(data, value)


def is_slow() -> bool:
    """Tell whether only the table is there."""
    return _implementation() is _by_table


def crc64_of(file: int, start: int, stop: int, check: Check = int) -> int:
    """Checksum of a part of an open file, or of less if the file ends. ``check`` is called now and then, and may raise."""
    view = buffer(tuning.READ_SIZE)
    value = 0
    next_check = start
    while start < stop:
        if start >= next_check:
            next_check = start + tuning.CHECK_EVERY
            check()
        size = min(tuning.READ_SIZE, stop - start)
        count = os.preadv(file, [view[:size]], start)
        if not count:
            break
        value = crc64(view[:count], value)
        start += count
    return value


def crc64_of_file(path: str, check: Check = int) -> int:
    """Checksum of a whole file, computed by all processors. Raises OSError, and the errors of ``check``."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(file).st_size
        threads = min(tuning.MAX_THREADS, os.cpu_count() or 1)
        # Rounded up, so that there are no more shares than threads.
        share = max(tuning.MIN_SHARE, -(-size // threads))
        if share >= size:
            return crc64_of(file, 0, size, check)
        bounds = [
            (start, min(size, start + share)) for start in range(0, size, share)
        ]
        return _crc64_by_threads(file, bounds, check)
    finally:
        os.close(file)


def _crc64_by_threads(
    file: int, bounds: t.Sequence[tuple[int, int]], check: Check
) -> int:
    """Checksum of parts that follow each other, each from a start up to a stop, by one thread for each."""
    is_over = threading.Event()

    def check_part() -> None:
        if is_over.is_set():
            raise CancelledError
        check()

    # Threads, as the checksum is computed without Python's lock. Leaving the block waits for all of them.
    with ThreadPoolExecutor(len(bounds)) as executor:
        try:
            parts = [
                executor.submit(crc64_of, file, start, stop, check_part)
                for start, stop in bounds
            ]
            value = 0
            for (start, stop), part in zip(bounds, parts):
                value = combined(value, part.result(), stop - start)
            return value
        finally:
            # After an error the other threads end at their next check.
            is_over.set()


def combined(first: int, second: int, length: int) -> int:
    """Checksum of two parts in a row, by the checksum of each and the length of the second."""
    return _product(_power_of_x(8 * length), first) ^ second


def _product(left: int, right: int) -> int:
    """Product of two polynomials over GF(2), modulo that of the CRC. The highest bit is the lowest power."""
    product = 0
    for bit in range(63, -1, -1):
        if left >> bit & 1:
            product ^= right
        # Times x: the lowest bit, which is the highest power, is reduced by the polynomial of the CRC.
        is_longer = right & 1
        right >>= 1
        if is_longer:
            right ^= _POLYNOMIAL
    return product


@functools.lru_cache(maxsize=64)
def _power_of_x(exponent: int) -> int:
    """That power of x, modulo the polynomial of the CRC, by repeated squaring."""
    # 1 and x, as the highest bit is the lowest power.
    power = 1 << 63
    square = 1 << 62
    while exponent:
        if exponent & 1:
            power = _product(power, square)
        square = _product(square, square)
        exponent >>= 1
    return power


@functools.cache
def _implementation() -> Implementation:
    return _of_fastcrc() or _of_liblzma() or _by_table


def _of_liblzma() -> t.Optional[Implementation]:
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


def _of_fastcrc() -> t.Optional[Implementation]:
    try:
        from fastcrc.crc64 import xz

        # Old versions take only bytes objects, so that all data would be copied first.
        is_fit = xz(memoryview(_TEST), 0) == _CRC64_OF_TEST
    except (ImportError, TypeError):
        return None
    if not is_fit:
        return None
    return t.cast(Implementation, xz)


@functools.cache
def _table() -> tuple[int, ...]:
    entries = []
    for entry in range(256):
        for _unused in range(8):
            is_longer = entry & 1
            entry >>= 1
            if is_longer:
                entry ^= _POLYNOMIAL
        entries.append(entry)
    return tuple(entries)


def _by_table(data: Buffer, value: int) -> int:
    table = _table()
    value ^= _MASK
    for byte in data:
        index = (value ^ byte) & 0xFF
        value = table[index] ^ value >> 8
    return value ^ _MASK
