# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fetches the programs of all servers that are not there yet."""

from __future__ import annotations

import sys

from databases import ENGINES, UnavailableError


def main() -> None:
    for engine in ENGINES:
        try:
            engine.programs()
        except UnavailableError as error:
            sys.exit(str(error))


main()
