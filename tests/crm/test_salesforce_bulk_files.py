"""The CSV files of bulk jobs: what is written can be read back, and what is read is whole."""

import csv
import io
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.model import FieldValue
from connector.crm.interface import FieldInfo, ObjectInfo, Update
from connector.crm.salesforce.bulk_files import can_carry, page_of, rows_of, typed, upload_of
from connector.crm.salesforce.request import File
from connector.net import UnreadableError

PAGE = '"Id","Title"\n"a","x\ny"\n"b",""\n'
KINDS = ("boolean", "int", "double", "currency", "percent", "datetime", "date", "string")
LEAD = ObjectInfo("Lead", {kind: FieldInfo(kind, kind, 0, updateable=True, filterable=True) for kind in KINDS})


def page(text: str, headers: Mapping[str, str]) -> tuple[list[dict[str, str]], str]:
    return page_of(File(text, headers), ("Id", "Title"))


def test_a_whole_page() -> None:
    rows, locator = page(PAGE, {"Sforce-Locator": "MjA", "Sforce-NumberOfRecords": "2"})
    assert rows == [{"Id": "a", "Title": "x\ny"}, {"Id": "b", "Title": ""}]
    assert locator == "MjA"
    assert page("", {"sforce-locator": "null", "sforce-numberofrecords": "0"}) == ([], "null")
    assert page('"Id","Title"\n', {"sforce-locator": "null"}) == ([], "null")


@pytest.mark.parametrize(
    ("text", "headers"),
    [
        (PAGE, {}),
        (PAGE, {"Sforce-Locator": ""}),
        (PAGE, {"Sforce-Locator": "null", "Sforce-NumberOfRecords": "3"}),
        ('"Id","Title"\n"a","x"\n', {"Sforce-Locator": "null", "Sforce-NumberOfRecords": "2"}),
        ("", {"Sforce-Locator": "null", "Sforce-NumberOfRecords": "2"}),
        ('"Id"\n"a"\n', {"Sforce-Locator": "null"}),
        ('"Id","Title","ID"\n"a","x","a"\n', {"Sforce-Locator": "null"}),
        (PAGE[:-3], {"Sforce-Locator": "null"}),
        (PAGE + '"c"\n', {"Sforce-Locator": "null"}),
    ],
)
def test_pages_that_are_not_whole(text: str, headers: dict[str, str]) -> None:
    with pytest.raises(UnreadableError):
        page(text, headers)


@pytest.mark.parametrize("cut", range(1, len(PAGE) - 1))
def test_a_page_that_is_cut_anywhere(cut: int) -> None:
    with pytest.raises(UnreadableError):
        page(PAGE[:cut], {"Sforce-Locator": "null", "Sforce-NumberOfRecords": "2"})


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("boolean", "true", True),
        ("boolean", "", False),
        ("int", "7.0", 7),
        ("int", "7", 7),
        ("int", "-1E3", -1000),
        ("double", "7", 7.0),
        ("currency", "2.25", 2.25),
        ("percent", "nonsense", "nonsense"),
        ("datetime", "2026-11-20T10:00:00.000Z", "2026-11-20T10:00:00.000+0000"),
        ("datetime", "2026-11-20T10:00:00.000+0000", "2026-11-20T10:00:00.000+0000"),
        ("datetime", "xyZ", "xyZ"),
        ("date", "2026-11-20", "2026-11-20"),
        ("string", "2026-11-20T10:00:00.000Z", "2026-11-20T10:00:00.000Z"),
        ("string", "7.0", "7.0"),
        ("string", "true", "true"),
        ("string", "", None),
        ("double", "", None),
    ],
)
def test_values_are_those_of_rest(kind: str, text: str, value: FieldValue) -> None:
    found = typed(LEAD, {kind: text})[kind]
    assert (found, type(found)) == (value, type(value))


@given(st.text())
def test_any_text_that_a_job_carries_is_read_back(value: str) -> None:
    update = Update("00Q", {"Title": value, "Phone": None})
    if not can_carry(value):
        return
    text = upload_of(LEAD, [update]).decode("utf-8")
    expected = value if value.strip() else "#N/A"
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["Id", "Title", "Phone"], ["00Q", expected, "#N/A"]]
    assert text.count("\n") == 2


@given(st.lists(st.tuples(st.text(), st.text(min_size=1)), max_size=4))
def test_any_file_of_results_is_read(cells: list[tuple[str, str]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([("Id", "Title"), *cells])
    if "\0" not in text.getvalue():
        assert [tuple(row.values()) for row in rows_of(text.getvalue(), "Id")] == cells


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        list(rows_of(text, "Id"))
    except UnreadableError:
        return
