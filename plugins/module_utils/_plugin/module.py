# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""What is the same in the ``main()`` of all modules."""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.errors import BackupError, MissingLibrary


def exit_with(module: AnsibleModule, answer: t.Callable[[], t.Mapping[str, t.Any]]) -> t.NoReturn:
    """End the module with the answer, or with the error that says why there is none."""
    try:
        result = answer()
    except MissingLibrary as error:
        module.fail_json(msg=missing_required_lib(error.library, reason=error.reason), exception=error.trace)
    except BackupError as error:
        module.fail_json(msg=str(error), error=error.facts())
    module.exit_json(**result)
