# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The same call for several things at once."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from .client import Client


T = t.TypeVar("T")


def map_concurrently(
    call: t.Callable[[str], T], arguments: t.Collection[str], *clients: Client
) -> list[T]:
    """What the call returns for each argument, in their order.

    The first error of any ends it: it is raised, and what the other calls ask of the clients is not repeated any more.
    """
    try:
        if len(arguments) == 1:
            # In this thread, where a signal can interrupt it.
            return [call(argument) for argument in arguments]
        return _in_threads(
            call, arguments, max(client.max_connections for client in clients)
        )
    except BaseException:
        for client in clients:
            client.cancel()
        raise


def _in_threads(
    call: t.Callable[[str], T], arguments: t.Collection[str], threads: int
) -> list[T]:
    from concurrent.futures import (
        FIRST_EXCEPTION,
        ThreadPoolExecutor,
        wait,
    )  # often not needed

    executor = ThreadPoolExecutor(threads)
    try:
        under_way = [executor.submit(call, argument) for argument in arguments]
        wait(under_way, return_when=FIRST_EXCEPTION)
        # The first error comes before those of the calls that end because of it.
        for future in under_way:
            if future.done():
                future.result()
        return [future.result() for future in under_way]
    finally:
        # After an error, requests that are under way end by themselves: nobody waits for them.
        executor.shutdown(wait=False, cancel_futures=True)
