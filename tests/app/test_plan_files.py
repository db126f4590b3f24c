"""Plan files are written and read a page at a time: every record, in order, and nothing that is not a plan."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connector.app import plans
from connector.app.plans import read_plan, write_plan
from connector.core.errors import ConfigurationError, StopError
from connector.core.frozen import FrozenMapping, FrozenPlan, FrozenRecord, PlanTerms
from connector.core.model import Channel
from connector.store.spool import Spool

NAMES = ("lead", "contact", "empty")
TERMS = PlanTerms(
    plan_id="plan-1",
    made_at=datetime(2026, 11, 20, 10, tzinfo=UTC),
    org="example.com",
    chosen=True,
    accounts={"lensmor": "default"},
    prices={"lensmor": {Channel.PHONE: 150}},
    ceiling={"lensmor": 1_000_000},
    mappings=tuple(FrozenMapping(source=f"{name}.yaml", name=name, object="Lead", digest="d") for name in NAMES),
)
RECORDS = {
    "lead": [FrozenRecord(id=f"00Q{number}", version=f"v{number}", buy={Channel.PHONE: 0}) for number in range(5)],
    "contact": [FrozenRecord(id="003", version="", buy={})],
    "empty": [],
}
Document = dict[str, object]


@pytest.fixture(name="path")
def _path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of a plan with several pages."""
    monkeypatch.setattr(plans, "RECORDS_AT_ONCE", 2)
    with closing(Spool()) as spool:
        for name in NAMES:
            spool.add(name, RECORDS[name])
        write_plan(FrozenPlan(TERMS, spool), tmp_path / "plan.json")
        yield tmp_path / "plan.json"


def assert_whole(path: Path) -> None:
    with read_plan(path) as plan:
        assert plan.terms == TERMS
        assert plan.records.count() == 6
        found = {name: [one for page in plan.records.pages(name, 2) for one in page] for name in NAMES}
    assert found == RECORDS


def test_a_plan_is_read_as_it_was_written(path: Path) -> None:
    assert_whole(path)


def test_a_plan_that_cannot_be_written_whole_leaves_no_file(tmp_path: Path) -> None:
    class Broken(Spool):
        def pages(self, mapping: str, size: int) -> Iterator[list[FrozenRecord]]:
            yield RECORDS[mapping][:size]
            raise StopError("the temporary folder has no room")

    with closing(Broken()) as spool, pytest.raises(StopError):
        write_plan(FrozenPlan(TERMS, spool), tmp_path / "plan.json")
    assert list(tmp_path.iterdir()) == []


def test_every_layout_of_the_json_is_read(path: Path) -> None:
    document = json.loads(path.read_text())
    for indent in (None, 1):
        path.write_text(json.dumps(document, indent=indent))
        assert_whole(path)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"version": 2}, "version"),
        ({"more": 1}, "more"),
        ({"mappings": {"lead": []}}, "mappings"),
        ({"mappings": [{"records": [], "name": "lead"}]}, "mappings.records"),
        ({"mappings": [{"name": "lead", "records": {"id": 1}}]}, "mappings.records"),
        ({"mappings": [{"name": "lead", "records": [{"id": "1", "version": "1"}, 7]}]}, "records.1"),
        ({"mappings": [{"name": "lead", "records": [{"id": "1"}]}]}, "records.0.version"),
        ({"mappings": [{"name": "lead", "records": [{"id": "1", "version": "1", "buy": {"fax": 1}}]}]}, "buy.fax"),
        ({"mappings": [{"name": "lead", "recordsets": 1, "records": []}]}, "mappings.0.source"),
    ],
)
def test_what_is_wrong_is_named(path: Path, change: Document, place: str) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ConfigurationError, match="is not a plan of this connector") as caught, read_plan(path):
        pass
    assert place in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "nonsense", "\x00", '{"version": 1'])
def test_a_file_without_a_plan_is_refused(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="make a new plan"), read_plan(path):
        pass


def test_a_file_that_is_cut_off_is_refused(path: Path) -> None:
    text = path.read_text()
    for end in range(0, len(text) - 2, 7):
        path.write_text(text[:end])
        with pytest.raises(ConfigurationError), read_plan(path):
            pass
