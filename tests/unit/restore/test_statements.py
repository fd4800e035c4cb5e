# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where statements of data files end, which is never within a text."""

from __future__ import annotations

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.statements import end_of_statements, split

#: Values with the end of a statement in them: of both kinds, where backslashes escape, and where they do not.
BOTH = [b"';\n'", b"'a; \t\n;\nb'", b"''';\n'", b"';\n'''"]
VALUES = {
    True: [*BOTH, rb"'\'" + b";\n'", rb"'\\'", rb"'\\\'" + b";\n'", b"'E'';\n'"],
    False: [*BOTH, rb"'\'", rb"'\\'", rb"E'\'" + b";\n'", rb"e'\\'", b"'the'';\n'"],
}


@pytest.mark.parametrize(
    ("has_escapes", "value"), [(has_escapes, value) for has_escapes, values in VALUES.items() for value in values]
)
def test_a_statement_ends_outside_of_texts(has_escapes: bool, value: bytes) -> None:
    """Also if the rest of a text has not been read yet."""
    mark = b"`" if has_escapes else b'"'
    name = mark + b"it's" + mark
    first = b"INSERT INTO " + name + b" (a, " + name + b") VALUES (1," + value + b");\n"
    second = b"-- it's;\nINSERT INTO " + name + b" VALUES (2," + value + b");"
    data = first + second
    assert [data[one.begin : one.end] for one in split(data, has_escapes)] == [first, second]
    for end in range(len(data) - 1):
        # The last statement of a file may have no newline behind it.
        expected = min(end, len(first)) if end >= len(first) - 1 else 0
        assert end_of_statements(data[:end], has_escapes) == expected
