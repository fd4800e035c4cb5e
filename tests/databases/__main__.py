# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fetches the programs of these servers, or of all, that are not there yet.

python -m databases [mysql] [mariadb] [postgresql]
"""

from __future__ import annotations

import sys

from databases import ENGINES, UnavailableError


def main() -> None:
    names = {engine.name: engine for engine in ENGINES}
    try:
        for name in sys.argv[1:] or names:
            names[name].programs()
    except UnavailableError as error:
        sys.exit(str(error))


main()
