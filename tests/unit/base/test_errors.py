# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an error says after its caller told what only that knows."""

from __future__ import annotations

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._base.errors import BackupError


def test_the_first_operation_stays() -> None:
    error = BackupError("it broke").in_context("list tasks").in_context("wait")
    assert str(error) == "Failed to list tasks: it broke."


@pytest.mark.parametrize("own", ["Check the network", "Check the network."])
def test_a_hint_comes_after_its_own(own: str) -> None:
    assert str(BackupError("it broke", hint=own).in_context(hint="Wait")) == "it broke. Check the network. Wait."
    assert str(BackupError("it broke").in_context(hint="Wait")) == "it broke. Wait."


def test_what_is_known_stays_where_nothing_is_added() -> None:
    error = BackupError("it broke").in_context(action="Describe", attempts=3, elapsed=2.5).in_context("list tasks")
    assert error.to_dict() == {"kind": "error", "action": "Describe", "attempts": 3, "elapsed": 2.5}
    assert str(error).endswith("Gave up after 3 attempts in 2.5 seconds.")


def test_the_explanation_has_no_operation() -> None:
    error = BackupError("it broke", hint="Wait", operation="list tasks").in_context(attempts=3, elapsed=2.5)
    assert error.explanation == "it broke. Wait. Gave up after 3 attempts in 2.5 seconds."
    assert str(error) == f"Failed to list tasks: {error.explanation}"
