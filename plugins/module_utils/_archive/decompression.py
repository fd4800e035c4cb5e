# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Decompression of an archive into a stream of bytes, some chunks ahead of its reader."""

from __future__ import annotations

import queue
import threading
import typing as t
import zlib

from . import tuning
from .errors import damaged, truncated
from .formats import Format
from .source import BLOCK, Source, Tick
from .zstd import unzstd


def _read_plain(source: Source) -> t.Iterator[bytes]:
    yield from iter(source.read_some, b"")


def _gunzip(source: Source) -> t.Iterator[bytes]:
    """Decompress all members. zlib verifies length and CRC-32 of each."""
    data = source.read_some()
    while data:
        # 15 bits of window, and 16 for the header and trailer of gzip, as zlib.h says.
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            try:
                chunk = member.decompress(data, tuning.CHUNK_SIZE)
            except zlib.error as error:
                raise damaged(
                    f"the gzip stream cannot be read before byte {source.read}: {error}"
                ) from None
            if chunk:
                yield chunk
            data = member.unconsumed_tail
            # After a full chunk, zlib may have more without any more input.
            is_full = len(chunk) == tuning.CHUNK_SIZE
            if not data and not member.eof and not is_full:
                data = source.read_some()
                if not data:
                    raise truncated(source.size, "gzip stream")
        # Zeros may be between members, and after the last one, as tapes and some tools pad with them.
        data = member.unused_data.lstrip(b"\0")
        while not data:
            more = source.read_some()
            if not more:
                return
            data = more.lstrip(b"\0")


#: What the thread hands to its reader.
_Item = t.Union[bytes, BaseException]

_DECOMPRESSORS = {
    Format.TAR: _read_plain,
    Format.TAR_GZ: _gunzip,
    Format.TAR_ZST: unzstd,
}


class Stream:
    """The decompressed bytes, forward only, made by a thread of its own. ``tick`` is called for each chunk."""

    def __init__(self, source: Source, format: Format, tick: Tick) -> None:
        self.offset = 0
        self._tick = tick
        self._chunk = b""
        self._position = 0
        self._chunks = _DECOMPRESSORS[format](source)
        # Chunks from the thread to its reader, an empty one at the end, or the error that ended it.
        self._ready: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        # Bounds the chunks in the queue, which has no limit of its own: the thread takes a slot, and the reader gives it back.
        self._free_slots = threading.Semaphore(tuning.CHUNKS_AHEAD)
        self._is_closed = False
        # zlib and zstd let go of Python's lock, so that this thread decompresses while the other one writes. It ends with the
        # last chunk, or by ``close``. A daemon, as a read from a dead network file system cannot be ended.
        self._thread = threading.Thread(target=self._produce, daemon=True)
        self._thread.start()

    def _produce(self) -> None:
        try:
            for chunk in self._chunks:
                self._free_slots.acquire()
                if self._is_closed:
                    return
                self._ready.put(chunk)
            self._ready.put(b"")
        except BaseException as error:
            # Raised again by the thread that reads, which would wait for ever otherwise.
            self._ready.put(error)

    def close(self) -> None:
        """End the thread. To be called before the source is closed, which it reads."""
        self._is_closed = True
        # The thread may wait for a slot: it sees that the stream is closed once it has one.
        self._free_slots.release()
        self._thread.join()

    def _fill(self) -> bool:
        """Get the next chunk if the last one is used up. Tells whether there are more bytes."""
        if self._position < len(self._chunk):
            return True
        if self._is_closed:
            return False
        self._tick()
        chunk = self._ready.get()
        if isinstance(chunk, BaseException):
            raise chunk
        self._free_slots.release()
        self._chunk, self._position = chunk, 0
        self._is_closed = not chunk
        return bool(chunk)

    def read_block(self) -> bytes:
        """The next 512 bytes, fewer at the end."""
        # The usual case, without a generator: small files have one header for each block of content.
        end = self._position + BLOCK
        if end <= len(self._chunk):
            data = self._chunk[self._position : end]
            self._position = end
            self.offset += BLOCK
            return data
        return b"".join(self.read_pieces(BLOCK))

    def skip(self, count: int) -> int:
        """Read bytes that are not needed. Returns their number, which is smaller at the end."""
        return sum(map(len, self.read_pieces(count)))

    def read_pieces(self, count: int) -> t.Iterator[memoryview]:
        """The next bytes, fewer at the end."""
        while count and self._fill():
            piece = memoryview(self._chunk)[
                self._position : self._position + count
            ]
            self._position += len(piece)
            self.offset += len(piece)
            count -= len(piece)
            yield piece
