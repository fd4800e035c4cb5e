# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""CRC-64/XZ, which the storage names x-oss-hash-crc64ecma."""

from __future__ import annotations

import ctypes
from typing import Final

POLYNOMIAL: Final = 0xC96C5795D7870F42
MASK: Final = 0xFFFFFFFFFFFFFFFF


def _table() -> tuple[int, ...]:
    entries = []
    for entry in range(256):
        for dummy in range(8):
            entry = (entry >> 1) ^ (POLYNOMIAL if entry & 1 else 0)
        entries.append(entry)
    return tuple(entries)


TABLE: Final = _table()


def crc64_by_table(data: bytes, value: int = 0) -> int:
    value ^= MASK
    for byte in data:
        value = TABLE[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ MASK


try:
    _lzma_crc64 = ctypes.CDLL("liblzma.so.5").lzma_crc64
    _lzma_crc64.argtypes = (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64)
    _lzma_crc64.restype = ctypes.c_uint64
except (OSError, AttributeError):  # a Python without this library still gets its sums, a thousand times slower
    crc64 = crc64_by_table
else:

    def crc64(data: bytes, value: int = 0) -> int:
        return int(_lzma_crc64(data, len(data), value))
