# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.
"""The environment of a task, for what its action plugin does on the controller."""

from __future__ import annotations

import contextlib
import os
import typing as t

if t.TYPE_CHECKING:
    from ansible.plugins.action import ActionBase


@contextlib.contextmanager
def task_environment(action: ActionBase) -> t.Iterator[None]:
    """Set the variables of the task's ``environment``, as for its module, and put the former ones back in the end.

    An action plugin has a process of its own, and so nobody else sees them. Run nothing of Ansible within: what it starts
    is not meant to have them.
    """
    variables: dict[str, t.Any] = {}
    action._compute_environment_string(variables)
    before = dict(os.environ)
    try:
        os.environ.update(
            (str(name), str(value)) for name, value in variables.items()
        )
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
