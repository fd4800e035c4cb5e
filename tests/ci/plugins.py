# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check that ansible-doc finds every plugin of the collection, documented in full and without a complaint."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
from typing import Any

COLLECTION = "apsaradb.backup"
PLUGIN_TYPES = {"modules": "module"}
RETURNING = {"filter", "lookup", "module", "test"}
WITHOUT_DOCUMENTATION = {"action", "doc_fragments", "module_utils", "plugin_utils"}


def names(directory: pathlib.Path) -> list[str]:
    return sorted(f"{COLLECTION}.{path.stem}" for path in directory.glob("*.py") if not path.stem.startswith("_"))


def documentation(plugin_type: str, plugins: list[str]) -> tuple[dict[str, Any], list[str]]:
    """What ansible-doc knows of these plugins, and its complaints."""
    command = ["ansible-doc", "--json", "--type", plugin_type, *plugins]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode or process.stderr:
        return {}, [f"{' '.join(command)}: {process.stderr or process.returncode}"]
    return json.loads(process.stdout), []


def main() -> int:
    count = 0
    complaints = []
    for directory in sorted(pathlib.Path("plugins").iterdir()):
        plugins = names(directory)
        if not plugins or directory.name in WITHOUT_DOCUMENTATION:
            continue
        plugin_type = PLUGIN_TYPES.get(directory.name, directory.name)
        sections = ["doc", "examples", *(["return"] if plugin_type in RETURNING else [])]
        documented, errors = documentation(plugin_type, plugins)
        complaints += errors or [
            f"{plugin}: no {section}"
            for plugin in plugins
            for section in sections
            if not documented.get(plugin, {}).get(section)
        ]
        count += len(plugins)
    roles = [f"{COLLECTION}.{path.name}" for path in sorted(pathlib.Path("roles").glob("[!.]*"))]
    if roles:
        # Asked for roles by name, ansible-core 2.21 looks into all collections, and complains about one of its own.
        documented, errors = documentation("role", ["--list", COLLECTION])
        complaints += errors or [f"{role}: no argument specification" for role in roles if role not in documented]
        count += len(roles)
    print(*complaints, f"{count} plugins and roles", sep="\n")
    return 1 if complaints or not count else 0


if __name__ == "__main__":
    sys.exit(main())
