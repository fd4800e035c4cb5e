# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the Makefile runs: the steps, and how ansible-test is set up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CI = Path(__file__).parents[1] / "ci"


def test_a_user_tells_pip_by_files_and_by_variables(tmp_path: Path) -> None:
    """ansible-test passes no variables on to pip: all of it has to be in the home that it is given."""
    user, home = tmp_path / "user", tmp_path / "home"
    for name, text in ((".pip", "timeout = 7\nretries = 8"), (".config/pip", "timeout = 9")):
        (user / name).mkdir(parents=True)
        (user / name / "pip.conf").write_text(f"[global]\n{text}\n[install]\nno-compile = true\n")
    (tmp_path / "another.conf").write_text("[global]\nindex-url = https://index.example/100%\n")
    script = f"import sys; sys.path.insert(0, {str(CI)!r})\nimport pathlib, sanity; sanity.prepare_home(pathlib.Path({str(home)!r}))"
    variables = {"PIP_FIND_LINKS": "/wheels", "PIP_CONFIG_FILE": str(tmp_path / "another.conf"), "PIP_NO_INPUT": "1"}
    subprocess.run([sys.executable, "-c", script], env={"HOME": str(user), **variables}, check=True)
    command = [sys.executable, "-m", "pip", "-vv", "config", "list"]  # loud, though it is told to be quiet
    known = subprocess.run(command, env={"HOME": str(home)}, capture_output=True, text=True, check=True).stdout
    assert set(known.splitlines()) >= {
        "global.find-links='/wheels'",
        "global.index-url='https://index.example/100%'",
        "global.no-input='1'",
        "global.quiet='2'",
        "global.retries='8'",
        "global.timeout='9'",
        "install.no-compile='true'",
    }
    assert (home / ".config" / "pip" / "pip.conf").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("script", "closing"),
    [
        ("print('fine')", "1 passed, 0 failed, 0 skipped"),
        ("print('=== 20 passed, 2 skipped in 3.21s (0:00:03) ===')", "20 passed, 0 failed, 2 skipped"),
        ("print('2 failed, 20 passed, 1 error in 3.21s'); raise SystemExit(1)", "20 passed, 3 failed, 0 skipped"),
        ("raise SystemExit('broken')", "0 passed, 1 failed, 0 skipped"),
    ],
)
def test_steps_are_added_up(tmp_path: Path, script: str, closing: str) -> None:
    def steps(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(CI / "steps.py"), *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    ran = steps("run", "a-step", sys.executable, "-c", script)
    assert ran.stdout.startswith("start  a-step")
    assert ("ok     a-step (" if ran.returncode == 0 else "FAILED a-step (") in ran.stdout
    assert "broken" not in script or "broken\n" in ran.stdout
    assert steps("summary", "a-step").stdout.splitlines()[-1] == closing
    assert "FAILED another: did not run" in steps("summary", "another").stdout


def test_a_step_that_takes_long_says_how_far_it_is(tmp_path: Path) -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(CI)!r})\n"
        "import steps; steps.PROGRESS_EVERY = 0.01\n"
        "steps.run('a-step', ['bash', '-c', 'echo \"....... [ 42%]\"; until [ -e end ]; do sleep 0.01; done'])"
    )
    process = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout
        for line in process.stdout:
            if line.endswith(" s: [ 42%]\n"):
                (tmp_path / "end").touch()
                break
        assert process.stdout.read().splitlines()[-1].startswith("ok     a-step (")
