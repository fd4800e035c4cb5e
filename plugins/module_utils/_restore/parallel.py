# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The same thing done many times, by threads that have a connection each."""

from __future__ import annotations

import contextlib
import queue
import threading
import typing as t

Job = t.TypeVar("Job")


class Closable(t.Protocol):
    def close(self) -> None:
        """Close it."""


Link = t.TypeVar("Link", bound=Closable)


def in_parallel(
    work: t.Callable[[Link, Job], None],
    jobs: t.Sequence[Job],
    connect: t.Callable[[], Link],
    threads: int,
) -> None:
    """Do all jobs. After the first error, none is begun any more, and the error is raised."""
    waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    errors: list[BaseException] = []

    def run() -> None:
        try:
            with contextlib.closing(connect()) as connection:
                while not errors:
                    work(connection, waiting.get_nowait())
        except queue.Empty:
            pass
        except BaseException as error:
            # Raised again by the thread that waits.
            errors.append(error)

    # Each waits for the disk of the server most of the time.
    started = [
        threading.Thread(target=run, daemon=True)
        for _unused in range(min(threads, len(jobs)))
    ]
    for thread in started:
        thread.start()
    try:
        for thread in started:
            thread.join()
    except BaseException as error:
        errors.append(error)
        raise
    if errors:
        raise errors[0]
