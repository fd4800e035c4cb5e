# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the controller asks of a module whose job it follows."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.job_protocol import JobState
from ansible_collections.apsaradb.backup.plugins.plugin_utils._following import NEWS_AFTER, _Follower
from ansible_collections.apsaradb.backup.plugins.plugin_utils._progress import ProgressLines


class Lines(ProgressLines):
    def of(self, progress: Any, elapsed: float) -> Any:
        self.news = progress["changed"]
        yield "a line"


@pytest.mark.parametrize("is_shown", [True, False])
def test_news_end_a_run_only_where_somebody_sees_them(is_shown: bool) -> None:
    requests: list[dict[str, Any]] = []
    printed: list[str] = []

    def execute(arguments: dict[str, Any]) -> dict[str, Any]:
        requests.append(arguments["_job"])
        number = len(requests)
        if number == 4:
            return {"changed": False, "_progress": {"changed": number}}
        state = JobState(directory="/tmp/job", progress={"changed": number}, news=number)
        return {"_job": state._asdict()}

    result = _Follower(execute, Lines(), printed.extend if is_shown else None, 86400.0, None, None).run()
    assert result == {"changed": False}
    assert printed == (["a line"] * 3 if is_shown else [])
    first, *later = [request["news_after"] for request in requests]
    if is_shown:
        # What is there at the first look is shown at once.
        assert first == 0.0
        assert all(seconds >= NEWS_AFTER for seconds in later)
        assert [request["news"] for request in requests] == [0, 1, 2, 3]
    else:
        assert {first, *later} == {None}
