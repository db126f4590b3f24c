"""Personal data at rest: sealed, recognised, and useless without the key."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet, MultiFernet
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_harness import KEY, RUN, LedgerHarness, buying, open_ledger_at, planned

from connector.app.wiring import configure, open_ledger
from connector.core.errors import ConfigurationError
from connector.core.model import FieldValue
from connector.store import tables as t
from connector.store.keys import PAGE
from connector.store.runs import Intended
from connector.store.seal import Seal, new_key, read_or_create_key_file

OLD, NEW, OTHER = new_key(), new_key(), new_key()
VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=40))


@given(st.dictionaries(st.text(max_size=10), VALUES, max_size=4))
@settings(max_examples=100, deadline=None)
def test_sealed_values_open_again(values: dict[str, FieldValue]) -> None:
    seal = Seal([KEY])
    assert seal.open(seal.seal(values)) == values


def test_sealed_values_show_nothing() -> None:
    seal = Seal([KEY])
    sealed = seal.seal({"value": "ada@example.com"})
    assert b"ada" not in sealed
    assert seal.seal({"value": "ada@example.com"}) != sealed
    assert "ada" not in seal.hash("ada@example.com")


@pytest.mark.parametrize("place", [0, 10, 40, -1])
def test_a_tampered_value_does_not_open(place: int) -> None:
    seal = Seal([KEY])
    sealed = bytearray(seal.seal({"value": "ada@example.com"}))
    sealed[place] ^= 1
    with pytest.raises(ConfigurationError, match="no longer lists"):
        seal.open(bytes(sealed))


def test_a_value_that_an_earlier_version_sealed_opens_and_is_sealed_anew() -> None:
    older = MultiFernet([Fernet(OLD)]).encrypt(json.dumps({"value": "ada@example.com"}).encode())
    seal = Seal([NEW, OLD])
    assert seal.open(older) == {"value": "ada@example.com"}
    assert not Seal([NEW]).opens(older)
    assert seal.seal(seal.open(older))[:1] == b"\x01"


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01" * 13, b"\x01" * 28, b"\x02" * 60, b"gAAAA", bytes(200)])
def test_what_is_no_sealed_value_does_not_open(sealed: bytes) -> None:
    assert not Seal([OLD, NEW]).opens(sealed)


def test_a_rotated_list_opens_and_recognises_older_data() -> None:
    before, after = Seal([OLD]), Seal([NEW, OLD])
    sealed, hashed = before.seal({"value": "x"}), before.hash("x")
    assert after.open(sealed) == {"value": "x"}
    assert after.matches(hashed, "x")
    assert not after.matches(hashed, "y")
    assert after.hash("x") != hashed
    assert Seal([NEW]).open(after.seal({"value": "x"})) == {"value": "x"}  # the newest seals
    with pytest.raises(ConfigurationError):
        Seal([NEW]).open(sealed)
    with pytest.raises(ConfigurationError, match="add it at the end"):
        Seal([NEW]).matches(hashed, "x")


def test_a_hash_without_a_key_name_is_recognised() -> None:
    bare = Seal([OLD]).hash("x").partition(":")[2]
    assert Seal([NEW, OLD]).matches(bare, "x")
    assert not Seal([NEW, OLD]).matches(bare, "y")
    assert not Seal([NEW]).matches(bare, "x")


@given(VALUES, VALUES)
@settings(max_examples=200, deadline=None)
def test_different_values_have_different_hashes(left: FieldValue, right: FieldValue) -> None:
    seal = Seal([KEY])
    assert seal.hash(left) == seal.hash(left)
    assert seal.matches(seal.hash(left), left)
    if repr(left) != repr(right):
        assert seal.hash(left) != seal.hash(right)


@pytest.mark.parametrize("keys", [["short"], [KEY, "short"], ["ü" * 44], ["=" * 44], [KEY + KEY]])
def test_an_invalid_key_is_refused_without_showing_it(keys: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="urlsafe base64 keys of 32 bytes") as raised:
        Seal(keys)
    assert not any(key in str(raised.value) for key in keys)


def test_an_empty_list_of_keys_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="is empty"):
        Seal([])


# -- the key file -----------------------------------------------------------------------------------------------


def test_a_key_file_is_created_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "connector.db.key"
    old = os.umask(0)
    try:
        made = read_or_create_key_file(path, may_create=True)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_or_create_key_file(path, may_create=True) == made
    assert read_or_create_key_file(path, may_create=False) == made
    assert [file.name for file in tmp_path.iterdir()] == ["connector.db.key"]
    Seal(made)


def test_a_missing_key_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"set CONNECTOR_SECRET_KEY or restore connector\.db\.key"):
        read_or_create_key_file(tmp_path / "connector.db.key", may_create=False)
    assert not list(tmp_path.iterdir())


def test_a_key_file_may_list_several_keys(tmp_path: Path) -> None:
    path = tmp_path / "connector.db.key"
    path.write_text(f" {NEW}, {OLD},\n")
    assert read_or_create_key_file(path, may_create=False) == [NEW, OLD]


def test_a_key_file_that_is_not_text_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "connector.db.key"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="cannot be created or read"):
        read_or_create_key_file(path, may_create=True)


# -- a ledger and its key ---------------------------------------------------------------------------------------


def test_a_ledger_refuses_another_key(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    open_ledger_at(path, [OLD]).close()
    with pytest.raises(ConfigurationError, match="sealed with another key"):
        open_ledger_at(path, [OTHER])
    open_ledger_at(path, [NEW, OLD]).close()
    open_ledger_at(path, [NEW]).close()
    with pytest.raises(ConfigurationError, match="sealed with another key"):
        open_ledger_at(path, [OTHER])


def test_the_ledger_stores_fingerprints_and_no_key() -> None:
    harness = LedgerHarness()
    (row,) = [row for row in harness.all(t.meta) if row["key"] == "key_fingerprints"]
    assert json.loads(str(row["value"])) == list(Seal([KEY]).fingerprints)
    assert KEY not in str(harness.all(t.meta))


def test_opening_by_settings_creates_ledger_and_key_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CONNECTOR_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    configured = configure(None)
    with pytest.raises(ConfigurationError, match="there is no ledger"):
        open_ledger(configured, must_exist=True)
    open_ledger(configured, throwaway=True).close()
    assert not list(tmp_path.iterdir())
    open_ledger(configured).close()
    assert {"connector.db", "connector.db.key"} <= {file.name for file in tmp_path.iterdir()}
    open_ledger(configured, must_exist=True).close()
    (tmp_path / "connector.db.key").unlink()
    with pytest.raises(ConfigurationError, match=r"restore connector\.db\.key"):
        open_ledger(configured)
    monkeypatch.setenv("CONNECTOR_SECRET_KEY", f"{NEW},{OLD}")
    with pytest.raises(ConfigurationError, match="sealed with another key"):
        open_ledger(configure(None))


def test_a_value_at_rest_is_sealed_and_hashed(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    harness = LedgerHarness(open_ledger_at(path))
    (purchase_id,) = harness.plan("70011")
    harness.accept(harness.batch())
    harness.finalize(purchase_id, value="ada.secret@example.com")
    with harness.ledger.database.read() as connection:
        value = connection.scalar(sa.select(t.purchase.c.value))
        hashed = connection.scalar(sa.select(t.purchase.c.value_hash))
    assert isinstance(value, bytes)
    assert harness.ledger.seal.open(value) == {"value": "ada.secret@example.com"}
    assert harness.ledger.seal.matches(str(hashed), "ada.secret@example.com")
    harness.ledger.close()
    assert all(b"ada.secret" not in file.read_bytes() for file in tmp_path.iterdir())


# -- rotation ---------------------------------------------------------------------------------------------------


def at(path: Path, *keys: str) -> LedgerHarness:
    return LedgerHarness(open_ledger_at(path, keys))


def deliver(harness: LedgerHarness, person: str = "70011") -> int:
    """Buy a work email whose value waits to be written; returns the purchase id."""
    (purchase_id,) = harness.plan(person)
    harness.accept(harness.batch())
    harness.finalize(purchase_id, value=f"{person}@example.com")
    return purchase_id


def write(harness: LedgerHarness) -> None:
    """Store an intended write with its before-image."""
    after = {"Email": "70011@example.com"}
    harness.ledger.runs.intend(RUN, "Lead", [Intended(1, "00Q1", after, {"Email": "before@example.com"})], harness.now)


def erase_value(harness: LedgerHarness, purchase_id: int) -> None:
    with harness.ledger.database.write() as connection:
        connection.execute(sa.update(t.purchase).where(t.purchase.c.id == purchase_id).values(value=None))
        connection.execute(sa.update(t.record).values(state="closed"))


def refused(path: Path, *keys: str) -> str:
    with pytest.raises(ConfigurationError, match="CONNECTOR_SECRET_KEY") as raised:
        at(path, *keys)
    assert raised.value.exit_code == 2
    assert not any(key in str(raised.value) for key in (OLD, NEW, OTHER))
    return str(raised.value)


def test_a_rolled_back_rotation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    at(path, OLD).ledger.close()
    at(path, NEW, OLD).ledger.close()
    message = refused(path, OLD)
    assert Seal([NEW]).fingerprints[0] in message
    assert "put that key back" in message.lower()
    refused(path, OTHER)
    refused(path, OLD, OTHER)
    at(path, OLD, NEW).ledger.close()  # a correct return to the older key: both are listed, the older one first
    at(path, OLD).ledger.close()


def test_a_rolled_back_rotation_is_refused_after_a_run_too(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    at(path, OLD).ledger.close()
    harness = at(path, NEW, OLD)
    harness.save(planned("00Q1", buying("70011"), baseline=harness.ledger.seal.hash(None)))
    harness.ledger.keys.reseal()
    harness.ledger.close()
    refused(path, OLD)
    assert at(path, NEW, OLD).ledger.seal.matches(str(at(path, NEW, OLD).all(t.record_channel)[0]["baseline"]), None)


@pytest.mark.parametrize("made", [deliver, write])
def test_an_older_key_must_stay_until_the_next_run_seals_its_data_again(
    tmp_path: Path, made: Callable[[LedgerHarness], object]
) -> None:
    path = tmp_path / "ledger.db"
    made(at(path, OLD))
    assert "sealed with another key" in refused(path, NEW)  # it was never listed together with the old one
    at(path, NEW, OLD).ledger.close()
    assert "next run seals" in refused(path, NEW)
    if made is deliver:
        at(path, NEW, OLD).ledger.keys.reseal()
        at(path, NEW).ledger.close()


def test_an_older_key_must_stay_while_a_run_can_be_undone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    write(at(path, OLD))
    harness = at(path, NEW, OLD)
    harness.ledger.keys.reseal()
    assert "undo time" in refused(path, NEW)
    harness.ledger.runs.erase_before_images(harness.pass_time())
    at(path, NEW).ledger.close()


def test_an_older_key_must_stay_while_a_record_it_hashed_is_open(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    harness = at(path, OLD)
    harness.save(planned("00Q1", buying("70011"), baseline=harness.ledger.seal.hash("before")))
    at(path, NEW, OLD).ledger.keys.reseal()
    assert "records close" in refused(path, NEW)
    with harness.ledger.database.write() as connection:
        connection.execute(sa.update(t.record).values(state="closed"))
    at(path, NEW).ledger.close()


@pytest.mark.parametrize("state", ["unknown", "submitting"])
def test_an_older_key_must_stay_while_a_request_may_be_called_back_under_it(tmp_path: Path, state: str) -> None:
    path = tmp_path / "ledger.db"
    harness = at(path, OLD)
    harness.plan("70011")
    batch = harness.batch()
    if state == "unknown":
        harness.ledger.answers.lost(batch.attempt_id, None, harness.now)
    address = harness.ledger.seal.address(batch.attempt_id)
    newer = at(path, NEW, OLD)
    newer.ledger.keys.reseal()
    assert newer.ledger.seal.attempt_of(address) == batch.attempt_id
    assert "without an answer" in refused(path, NEW)
    newer.refuse(batch) if state == "submitting" else newer.finalize(*batch.purchases.values())
    at(path, NEW).ledger.close()


def test_a_request_sent_under_the_newest_key_does_not_keep_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    at(path, OLD).ledger.close()
    harness = at(path, NEW, OLD)
    harness.plan("70011")
    harness.ledger.answers.lost(harness.batch().attempt_id, None, harness.now)
    at(path, NEW).ledger.close()


def test_a_dropped_key_erases_its_hashes_of_erased_values(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    harness = at(path, OLD)
    erase_value(harness, deliver(harness))
    newer = at(path, NEW, OLD)
    newer.ledger.keys.reseal()
    assert newer.ledger.seal.matches(str(newer.all(t.purchase)[0]["value_hash"]), "70011@example.com")
    after = at(path, NEW)
    assert after.all(t.purchase)[0]["value_hash"] is None
    at(path, NEW, OLD).ledger.close()  # the key may be listed again


def test_a_resealed_value_is_hashed_again(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    deliver(at(path, OLD))
    assert at(path, NEW, OLD).ledger.keys.reseal() == 1
    harness = at(path, NEW)
    (row,) = harness.all(t.purchase)
    assert harness.ledger.seal.matches(str(row["value_hash"]), "70011@example.com")


def test_more_than_one_page_is_searched_and_sealed_again(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    harness = at(path, OLD)
    people = [str(70_000 + number) for number in range(2 * PAGE + 1)]
    ids = harness.plan(*people)
    with harness.ledger.database.write() as connection:
        for purchase_id in ids:
            sealed = {"value": Seal([OLD if purchase_id == ids[-1] else NEW]).seal({"value": "x"})}
            connection.execute(sa.update(t.purchase).where(t.purchase.c.id == purchase_id).values(sealed))
    at(path, NEW, OLD).ledger.close()
    assert "wait to be written" in refused(path, NEW)
    assert at(path, NEW, OLD).ledger.keys.reseal() == len(ids)
    at(path, NEW).ledger.close()


def test_a_hash_of_an_unlisted_key_raises(tmp_path: Path) -> None:
    """Two machines share a ledger, and one has an outdated list: without the error, a value would look edited."""
    path = tmp_path / "ledger.db"
    older, newer = at(path, OLD), at(path, NEW, OLD)
    with pytest.raises(ConfigurationError, match="every machine"):
        older.ledger.seal.matches(newer.ledger.seal.hash("x"), "x")
    with pytest.raises(ConfigurationError, match="lacks the newest key"):
        older.ledger.keys.reseal()  # the beginning of its next run


# -- ledgers of earlier versions --------------------------------------------------------------------------------


def earlier(path: Path, *listed: str, sealed_under: str = "") -> None:
    """Store the rows of an earlier version: all keys that were ever listed, and the last run's newest key."""
    harness = at(path, OLD)
    rows = {"key_fingerprints": json.dumps([Seal([key]).fingerprints[0] for key in listed])}
    if sealed_under:
        rows["sealed_under"] = Seal([sealed_under]).fingerprints[0]
    with harness.ledger.database.write() as connection:
        connection.execute(sa.delete(t.meta).where(t.meta.c.key.startswith("key_")))
        connection.execute(sa.insert(t.meta), [{"key": key, "value": value} for key, value in rows.items()])
    harness.ledger.close()


def test_an_earlier_ledger_that_ran_under_the_new_key_refuses_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    earlier(path, OLD, NEW, sealed_under=NEW)
    refused(path, OLD)
    at(path, NEW).ledger.close()  # the old key may have been dropped long ago
    refused(path, OLD)


def test_an_earlier_ledger_without_a_run_accepts_any_key_it_knew(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    earlier(path, OLD, NEW)
    refused(path, OTHER)
    at(path, OLD).ledger.close()
    refused(path, OTHER)


def test_hashes_of_earlier_versions_keep_every_key_that_may_have_made_them(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    harness = at(path, OLD)
    bare = harness.ledger.seal.hash("before").partition(":")[2]
    harness.save(planned("00Q1", buying("70011"), baseline=bare))
    earlier(path, OLD, sealed_under=OLD)
    newer = at(path, NEW, OLD)
    newer.ledger.keys.reseal()
    assert newer.ledger.seal.matches(bare, "before")
    assert "records close" in refused(path, NEW)


def test_an_earlier_ledger_is_searched_when_a_key_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    deliver(at(path, OLD))
    earlier(path, OLD, NEW)
    assert "wait to be written" in refused(path, NEW)
