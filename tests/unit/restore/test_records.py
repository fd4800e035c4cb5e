# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Records of CSV files: whatever is in them, their ends, their number and their values are found."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Optional

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.model import DataFormat, Dialect, Null
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.pieces import Cutter
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.records import (
    Skeleton,
    commas_of,
    end_of_records,
    fields_of,
    first_record,
    has_unknown_escape,
    invalid_byte,
    last_record,
    masked,
    may_have_stray_quotes,
    values_of,
    with_null,
)
from hypothesis import example, given
from hypothesis import strategies as st

Values = tuple[Optional[bytes], ...]

SURROGATE = re.compile("[\udc80-\udcff]")

DIALECTS = [Dialect(null, has_escapes) for null in Null for has_escapes in (True, False)]
#: Letters that mean something in one dialect or another, and some that never do.
LETTERS = st.text(alphabet='",\\\nNnULr\r.aé漢🚀', max_size=8)


def written(values: Values, dialect: Dialect, doubles: bool = True) -> bytes:
    """A record as a writer of that dialect makes it. ``doubles``: quotes are doubled, not escaped."""
    fields = []
    for value in values:
        if value is None:
            fields.append(dialect.null.token)
            continue
        if dialect.has_escapes:
            value = value.replace(b"\\", b"\\\\")
        value = value.replace(b'"', b'""' if doubles or not dialect.has_escapes else b'\\"')
        fields.append(b'"' + value + b'"')
    return b",".join(fields) + b"\n"


def tables(columns: int) -> st.SearchStrategy[list[Values]]:
    field = st.none() | LETTERS.map(str.encode)
    return st.lists(st.tuples(*[field] * columns), min_size=1, max_size=9)


rows = st.integers(2, 4).flatmap(tables)
dialects = st.sampled_from(DIALECTS)


@given(rows, dialects, st.booleans())
def test_values_are_what_was_written(table: list[Values], dialect: Dialect, doubles: bool) -> None:
    for values in table:
        assert values_of(written(values, dialect, doubles), dialect) == values


# After a large record, more is left than the next piece needs.
@example([(b",\n,", b",\\\n"), (b"\\", b'\n,,"'), (b"", None)], DIALECTS[2], False, 3)
@given(rows, dialects, st.booleans(), st.integers(1, 40))
def test_pieces_are_whole_records_however_the_file_is_read(
    table: list[Values], dialect: Dialect, doubles: bool, size: int
) -> None:
    records = [written(values, dialect, doubles) for values in table]
    data = b"".join(records)

    def pieces(chunk: int) -> list[bytes]:
        cutter = Cutter(DataFormat.CSV, size, has_escapes=dialect.has_escapes)
        found = [piece for at in range(0, len(data), chunk) for piece in cutter.feed(data[at : at + chunk])]
        return [*found, *cutter.finish()]

    whole = pieces(len(data))
    assert b"".join(whole) == data
    assert pieces(7) == pieces(1) == whole
    ends = {len(b"".join(records[:count])) for count in range(len(records) + 1)}
    at = 0
    for piece in whole:
        at += len(piece)
        assert at in ends
        assert commas_of(piece, dialect.has_escapes) == [len(table[0]) - 1] * len(commas_of(piece, dialect.has_escapes))
    assert sum(len(commas_of(piece, dialect.has_escapes)) for piece in whole) == len(table)


# The window begins within quotes.
@example([(b"a\nb", None), (b'\n"\n', None)], DIALECTS[1], True, 5)
@given(rows, dialects, st.booleans(), st.integers(1, 20))
def test_the_first_and_the_last_record_are_found_in_any_window(
    table: list[Values], dialect: Dialect, doubles: bool, window: int
) -> None:
    records = [written(values, dialect, doubles) for values in table]
    data = b"".join(records)
    for whole, last in ((data, records[-1]), (data[:-1], records[-1][:-1])):
        assert first_record(whole, dialect.has_escapes, window) in (records[0], whole)
        assert last_record(whole, dialect.has_escapes, window) == last
    assert first_record(data, dialect.has_escapes, window) == records[0]


@pytest.mark.parametrize("window", range(1, 12))
def test_a_window_that_begins_between_backslashes(window: int) -> None:
    assert last_record(b"1,a\n2,b\\\\\\\nc\n", True, window) == b"2,b\\\\\\\nc\n"


@given(rows, dialects, st.booleans(), st.booleans(), st.data())
def test_fields_of_some_columns_are_found(
    table: list[Values], dialect: Dialect, doubles: bool, is_cut: bool, draw: st.DataObject
) -> None:
    width = len(table[0])
    places = draw.draw(st.sets(st.sampled_from(range(width)), min_size=1).map(sorted))
    data = b"".join(written(values, dialect, doubles) for values in table)
    fields = fields_of(masked(data[:-1] if is_cut else data, dialect.has_escapes), places, width, len(table))
    assert len(fields) == len(table) * len(places)
    wanted = [
        b"N" if values[i] is None else b"%d" % len(written((values[i],), dialect, doubles))
        for values in table
        for i in places
    ]
    token = dialect.null.token
    assert [b"N" if field == token else b"%d" % (len(field) + 1) for field in fields] == wanted


@pytest.mark.parametrize(
    ("column", "found"),
    [(0, [b"1", b"3"]), (1, [b'"a\nb,c"', b"4"]), (2, [b"2", b"5"])],
    ids=["first", "middle", "last"],
)
def test_lines_are_not_taken_for_records(column: int, found: list[bytes]) -> None:
    # There are as many newlines as records, as the last one has none.
    assert fields_of(b'1,"a\nb,c",2\n3,4,5', [column], 3, 2) == found


@given(rows, dialects, st.booleans())
def test_a_skeleton_has_the_nulls_and_no_text(table: list[Values], dialect: Dialect, doubles: bool) -> None:
    data = b"".join(written(values, dialect, doubles) for values in table)
    skeleton = Skeleton.of(data, dialect.has_escapes)
    assert len(skeleton.lines) == len(table)
    assert skeleton.stray_quote is None
    assert skeleton.has_quoted_empty == any(value == b"" for values in table for value in values)
    nulls = {i for values in table for i, value in enumerate(values) if value is None}
    for null in Null:
        assert skeleton.columns_with(null.token, 99) == (nulls if null is dialect.null else set())


@pytest.mark.parametrize("tail", [b'3,"a', b'3,"a\n', b'3,"a\nb""', b"3,4", b""])
def test_what_is_no_whole_record_stays(tail: bytes) -> None:
    assert end_of_records(b'1,2\n2,"x\n"\n' + tail, False) == 11


def test_a_last_record_without_a_newline_counts() -> None:
    assert commas_of(b"1,2\n3,4", False) == [1, 1]
    assert values_of(b"3,4", Dialect(Null.EMPTY, False)) == (b"3", b"4")
    assert last_record(b"1,2\n3,4", False) == b"3,4"


@pytest.mark.parametrize(
    "piece", [b'1,a"b"\n', b'1,"a"b\n', b'1,a"b\n', b'1,a"""b\n', b'1,"a"""b"\n', b'1,"",a"""""b\n']
)
def test_a_quote_in_the_middle_of_a_field_is_seen(piece: bytes) -> None:
    assert may_have_stray_quotes(piece, False)
    if piece.count(b'"') % 2 == 0:
        assert Skeleton.of(piece, False).stray_quote is not None


@pytest.mark.parametrize("piece", [b'1,"a""b"\n', b'1,"""a"""\n', b'"""",""\n', b'"a""""b"\n'])
def test_quotes_of_a_text_are_in_their_place(piece: bytes) -> None:
    assert not may_have_stray_quotes(piece, False)


@given(st.text(), st.integers(1, 9), st.binary(max_size=3), st.integers(0))
def test_the_first_byte_that_is_not_utf_8_is_found(text: str, times: int, other: bytes, place: int) -> None:
    whole = text.encode("utf-8", "replace") * times * 20_000
    place %= len(whole) + 1
    data = whole[:place] + other + whole[place:]
    # Each byte that cannot be decoded becomes a letter that is in no text.
    wrong = SURROGATE.search(data.decode("utf-8", "surrogateescape"))
    assert invalid_byte(data) == (len(wrong.string[: wrong.start()].encode()) if wrong else None)


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"a\\nb", False), (b"a\\\\d", False), (b'\\"\\N\\0\\Z', False), (b"a\\d", True), (b"C:\\\\x\\.", True)],
)
def test_a_backslash_that_escapes_nothing_is_seen(data: bytes, expected: bool) -> None:
    assert has_unknown_escape(data) is expected


@pytest.mark.parametrize(
    ("escaped", "value"), [(b"\\0", b"\0"), (b"\\Z", b"\x1a"), (b"\\n", b"\n"), (b"\\\\n", b"\\n"), (b"\\q", b"q")]
)
def test_escapes_are_those_of_the_server(escaped: bytes, value: bytes) -> None:
    assert values_of(b'"' + escaped + b'",1', Dialect(Null.WORD, True)) == (value, b"1")


def test_unquoted_texts_are_seen_but_not_nulls() -> None:
    columns: Sequence[set[int]] = [
        Skeleton.of(piece, True).unquoted({1}, 9)
        for piece in (b"1,text\n", b"1,NULL\n", b"1,\\N\n", b"1,\n", b'1,"x"\n')
    ]
    assert columns == [{1}, set(), set(), set(), set()]


@given(rows, dialects, st.sampled_from(Null), st.booleans())
def test_null_can_be_written_in_another_notation(
    table: list[Values], dialect: Dialect, null: Null, doubles: bool
) -> None:
    data = b"".join(written(values, dialect, doubles) for values in table)
    other = with_null(data, dialect, null)
    changed = Dialect(null, dialect.has_escapes)
    assert other == b"".join(written(values, changed, doubles) for values in table)


def test_a_text_without_quotes_that_looks_like_the_other_notation_gets_quotes() -> None:
    assert with_null(b"NULL,,x\n,NULL", Dialect(Null.EMPTY, False), Null.WORD) == b'"NULL",NULL,x\nNULL,"NULL"\n'


def test_fields_that_follow_each_other_are_all_changed() -> None:
    assert with_null(b",,,\n", Dialect(Null.EMPTY, False), Null.WORD) == b"NULL,NULL,NULL,NULL\n"
