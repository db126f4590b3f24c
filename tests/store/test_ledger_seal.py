"""Personal data at rest: sealed, recognised, and useless without the key."""

import base64
import json
import os
import stat
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_shelf import KEY, Shelf, open_ledger_at

from connector.app.joining import configure, open_ledger
from connector.core.errors import ConfigurationError
from connector.core.model import FieldValue
from connector.store import tables as t
from connector.store.seal import Seal, new_key, read_or_create_key_file

OLD, NEW, OTHER = new_key(), new_key(), new_key()
VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=40))


@given(st.dictionaries(st.text(max_size=10), VALUES, max_size=4))
@settings(max_examples=100, deadline=None)
def test_what_is_sealed_opens_again(values: dict[str, FieldValue]) -> None:
    seal = Seal([KEY])
    assert seal.open(seal.seal(values)) == values


def test_nothing_of_the_value_shows() -> None:
    seal = Seal([KEY])
    sealed = seal.seal({"value": "ada@example.com"})
    assert b"ada" not in sealed + base64.urlsafe_b64decode(sealed)
    assert seal.seal({"value": "ada@example.com"}) != sealed
    assert "ada" not in seal.hash("ada@example.com")


@pytest.mark.parametrize("place", [0, 10, 40, -1])
def test_a_tampered_value_does_not_open(place: int) -> None:
    seal = Seal([KEY])
    sealed = bytearray(seal.seal({"value": "ada@example.com"}))
    sealed[place] ^= 1
    with pytest.raises(ConfigurationError, match="no longer lists"):
        seal.open(bytes(sealed))


def test_a_rotated_key_opens_and_recognises_what_the_old_one_made() -> None:
    before, after = Seal([OLD]), Seal([NEW, OLD])
    sealed, hashed = before.seal({"value": "x"}), before.hash("x")
    assert after.open(sealed) == {"value": "x"}
    assert after.matches(hashed, "x")
    assert not after.matches(hashed, "y")
    assert after.hash("x") != hashed
    assert Seal([NEW]).open(after.seal({"value": "x"})) == {"value": "x"}  # the newest seals
    with pytest.raises(ConfigurationError):
        Seal([NEW]).open(sealed)
    assert not Seal([NEW]).matches(hashed, "x")


@given(VALUES, VALUES)
@settings(max_examples=200, deadline=None)
def test_hashes_tell_values_apart(left: FieldValue, right: FieldValue) -> None:
    seal = Seal([KEY])
    assert seal.hash(left) == seal.hash(left)
    assert seal.matches(seal.hash(left), left)
    if repr(left) != repr(right):
        assert seal.hash(left) != seal.hash(right)


@pytest.mark.parametrize("keys", [["short"], [KEY, "short"], ["ü" * 44], ["=" * 44], [KEY + KEY]])
def test_what_is_no_key_is_refused_without_showing_it(keys: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="urlsafe base64 keys of 32 bytes") as raised:
        Seal(keys)
    assert not any(key in str(raised.value) for key in keys)


def test_no_key_at_all_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="is empty"):
        Seal([])


# -- the key file -----------------------------------------------------------------------------------------------


def test_a_new_ledgers_key_file_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
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


def test_an_existing_ledger_without_its_key_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"set CONNECTOR_SECRET_KEY or restore connector\.db\.key"):
        read_or_create_key_file(tmp_path / "connector.db.key", may_create=False)
    assert not list(tmp_path.iterdir())


def test_a_key_file_may_list_several_keys(tmp_path: Path) -> None:
    path = tmp_path / "connector.db.key"
    path.write_text(f" {NEW}, {OLD},\n")
    assert read_or_create_key_file(path, may_create=False) == [NEW, OLD]


def test_a_key_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "connector.db.key"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="cannot be made or read"):
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


def test_the_ledger_keeps_fingerprints_and_no_key() -> None:
    shelf = Shelf()
    (row,) = [row for row in shelf.all(t.meta) if row["key"] == "key_fingerprints"]
    assert json.loads(str(row["value"])) == list(Seal([KEY]).fingerprints)
    assert KEY not in str(shelf.all(t.meta))


def test_opening_by_settings_makes_ledger_and_key_and_finds_them_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    shelf = Shelf(open_ledger_at(path))
    (unlock_id,) = shelf.plan("70011")
    shelf.accept(shelf.batch())
    shelf.settle(unlock_id, value="ada.secret@example.com")
    with shelf.ledger.database.read() as connection:
        value = connection.scalar(sa.select(t.unlock.c.value))
        hashed = connection.scalar(sa.select(t.unlock.c.value_hash))
    assert isinstance(value, bytes)
    assert shelf.ledger.seal.open(value) == {"value": "ada.secret@example.com"}
    assert shelf.ledger.seal.matches(str(hashed), "ada.secret@example.com")
    shelf.ledger.close()
    assert all(b"ada.secret" not in file.read_bytes() for file in tmp_path.iterdir())
