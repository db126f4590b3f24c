"""Values in the form that Salesforce stores: equality, and the formats of phones."""

import pytest
from core_cases import mapping_of, rules_of
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.core.mapping_channels import PhoneFormat
from connector.core.model import Channel, CrmRecord, FieldValue, Outcome, Prices, outcome_of_record
from connector.core.phone_format import format_phone
from connector.core.values import outgoing, same, stored_form

STORED: list[tuple[FieldValue, bool, FieldValue]] = [
    (None, False, None),
    ("", False, None),
    ("  ", False, None),
    ("\u00a0", False, None),
    (" x ", False, "x"),
    ("Ada@Example.COM ", True, "ada@example.com"),
    ("Ada@Example.COM", False, "Ada@Example.COM"),
    (True, False, True),
    (False, True, False),
    (0, False, 0),
    (1.5, False, 1.5),
]


def test_the_stored_form() -> None:
    wrong = [
        (value, is_email, stored, got)
        for value, is_email, stored in STORED
        if (got := stored_form(value, is_email=is_email)) != stored
    ]
    assert wrong == []


COMPARED: list[tuple[FieldValue, FieldValue, bool, bool]] = [
    (None, "", False, True),
    (None, "  ", False, True),
    (None, False, False, True),
    (False, None, False, True),
    (None, True, False, False),
    (True, True, False, True),
    ("a", " a ", False, True),
    ("a", "A", False, False),
    ("a@example.com", "A@EXAMPLE.com", True, True),
    ("a@example.com", "b@example.com", True, False),
    ("+14155550123", "+1 415 555 0123", False, False),
    (None, "x", False, False),
    (False, "x", False, False),
]


def test_equal_values() -> None:
    wrong = [
        (left, right, is_email, equal, got)
        for left, right, is_email, equal in COMPARED
        if (got := same(left, right, is_email=is_email)) is not equal
    ]
    assert wrong == []


VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=20))


@given(VALUES, VALUES, st.booleans())
@settings(max_examples=200, deadline=None)
def test_same_is_reflexive_and_symmetric(left: FieldValue, right: FieldValue, is_email: bool) -> None:
    assert same(left, left, is_email=is_email)
    assert same(left, right, is_email=is_email) == same(right, left, is_email=is_email)


@given(VALUES, st.booleans())
@settings(max_examples=200, deadline=None)
def test_storing_twice_changes_nothing(value: FieldValue, is_email: bool) -> None:
    once = stored_form(value, is_email=is_email)
    assert stored_form(once, is_email=is_email) == once
    assert same(once, value, is_email=is_email)


E164, INTERNATIONAL, AS_GIVEN = PhoneFormat.E164, PhoneFormat.INTERNATIONAL, PhoneFormat.AS_GIVEN


WRITTEN: list[tuple[str, PhoneFormat, str | None, str]] = [
    ("+1 415 555 0123", E164, None, "+14155550123"),
    ("+1 (415) 555-0123", E164, "DE", "+14155550123"),
    ("+1 415 555 0123", INTERNATIONAL, None, "+1 415-555-0123"),
    ("+44 7700 900123", E164, None, "+447700900123"),
    ("+31612345678", INTERNATIONAL, None, "+31 6 12345678"),
    # without + the region decides
    ("(415) 555-0123", E164, "US", "+14155550123"),
    ("07700 900123", E164, "GB", "+447700900123"),
    ("07700 900123", INTERNATIONAL, "GB", "+44 7700 900123"),
    ("011 44 7700 900123", E164, "US", "+447700900123"),
    ("(415) 555-0123", E164, None, "(415) 555-0123"),
    # as_given changes nothing
    ("+1 415 555 0123", AS_GIVEN, "US", "+1 415 555 0123"),
    ("call me", AS_GIVEN, "US", "call me"),
    # an extension is part of the number
    ("+1 415 555 0123 ext. 5", E164, None, "+14155550123 ext. 5"),
    ("(415) 555-0123 x12", E164, "US", "+14155550123 ext. 12"),
    ("+1 415 555 0123 #12", INTERNATIONAL, None, "+1 415-555-0123 ext. 12"),
    # letters and missing area codes never become digits
    ("+1 415 555 XXXX", E164, "US", "+1 415 555 XXXX"),
    ("1-800-FLOWERS", INTERNATIONAL, "US", "1-800-FLOWERS"),
    ("555-0132", E164, "US", "555-0132"),
    ("555-0132", INTERNATIONAL, "US", "555-0132"),
    ("1234567", E164, "DE", "1234567"),
    # without + only a complete number that is certainly one of the region
    *(("555-0132", E164, region, "555-0132") for region in ("GB", "DE", "AU", "CA", "FR", "IT")),
    ("555 01 32", E164, "SE", "555 01 32"),
    ("0412 345 678", E164, "US", "0412 345 678"),
    ("0412 345 678", E164, "GB", "0412 345 678"),
    ("06 12 34 56 78", E164, "GB", "06 12 34 56 78"),
    ("2024-01-15", E164, "DE", "2024-01-15"),
    ("4155550100", E164, "GB", "4155550100"),
    ("9175550100", E164, "IN", "9175550100"),
    ("8005550100", E164, "RU", "8005550100"),
    ("4930123456", E164, "DE", "4930123456"),
    ("0116 149 6001", E164, "US", "0116 149 6001"),
    ("14155550123", E164, "US", "+14155550123"),
    ("416 555 0100", E164, "CA", "+14165550100"),
    ("020 7946 0018", E164, "GB", "+442079460018"),
    ("030/1234567", E164, "DE", "+49301234567"),
    ("(0)30 1234567", E164, "DE", "+49301234567"),
    ("0412 345 678", E164, "AU", "+61412345678"),
    ("06 1234 5678", E164, "IT", "+390612345678"),
    ("22 12 34 56", E164, "NO", "+4722123456"),
    ("00 44 20 7946 0018", E164, "DE", "+442079460018"),
    ("+1 555 0132", E164, None, "+1 555 0132"),
    # an unreadable number is written as given
    ("call me", E164, "US", "call me"),
    ("", E164, "US", ""),
    ("+", E164, "US", "+"),
    ("12", E164, "US", "12"),
    ("+1 415 555 0123 4567 8901", E164, "US", "+1 415 555 0123 4567 8901"),
    ("+999 123", E164, None, "+999 123"),
    # the library would drop one of several leading zeros
    ("+43000001", E164, None, "+43000001"),
    ("+43 0 316 123456", E164, None, "+43316123456"),
    ("+43 0 316 123456", INTERNATIONAL, None, "+43 316 123456"),
    ("٣", INTERNATIONAL, "US", "٣"),
]


def test_phone_formats() -> None:
    wrong = [
        (number, form, region, written, got)
        for number, form, region, written in WRITTEN
        if (got := format_phone(number, form, region)) != written
    ]
    assert wrong == []


PHONES = st.one_of(
    st.text(max_size=25),
    st.text(st.sampled_from("0123456789+-() ext.#*"), max_size=25),
    st.integers(0, 10**13).map(lambda number: f"+{number}"),
)


@given(PHONES, st.sampled_from(PhoneFormat), st.sampled_from([None, "US", "DE", "IT", "MX", "AR"]))
@settings(max_examples=200, deadline=None)
def test_any_phone_can_be_formatted_and_is_then_stable(number: str, form: PhoneFormat, region: str | None) -> None:
    written = format_phone(number, form, region)
    assert bool(written) == bool(number)
    assert format_phone(written, form, region) == written


def test_emails_are_written_lower_case_and_trimmed() -> None:
    assert outgoing(" Ada@Example.COM ", rules_of(mapping_of())) == "ada@example.com"


def test_phones_are_written_in_the_mappings_format() -> None:
    rules = rules_of(mapping_of(phone={"format": "international", "default_region": "US"}), Channel.PHONE)
    assert outgoing(" (415) 555-0123 ", rules) == "+1 415-555-0123"


# -- the model's own small rules --------------------------------------------------------------------------------

ORDER = ["unknown", "parked", "deferred", "waiting", "delivered", "failed", "not_found", "skipped", "already_filled"]


def test_the_outcome_of_a_record_with_several_channels() -> None:
    assert [outcome.value for outcome in Outcome] == ORDER
    for index, outcome in enumerate(Outcome):
        for other in list(Outcome)[index:]:
            shown = Outcome.SKIPPED if outcome is Outcome.ALREADY_FILLED else outcome
            assert outcome_of_record([other, outcome]) is outcome_of_record([outcome, other]) is shown
    assert outcome_of_record([]) is Outcome.SKIPPED


FIELDS: list[tuple[FieldValue, str, bool]] = [
    (None, "", False),
    (False, "", False),
    (True, "True", True),
    ("", "", False),
    (" a ", "a", True),
    (5, "5", True),
    (62992312.0, "62992312", True),
    (1.5, "1.5", True),
    (1e20, "100000000000000000000", True),
    (float("inf"), "inf", True),
]


def test_text_and_truth_of_a_field(subtests: pytest.Subtests) -> None:
    for value, text, ticked in FIELDS:
        with subtests.test(value=value, text=text, ticked=ticked):
            record = CrmRecord("1", "v", {"F": value})
            assert record.text("F") == text
            assert record.truthy("F") is ticked
            assert (record.text(None), record.text("G"), record.truthy(None), record.truthy("G")) == (
                "",
                "",
                False,
                False,
            )


def test_prices_are_by_channel() -> None:
    prices = Prices({Channel.PHONE: 150})
    assert prices.of(Channel.PHONE) == 150
    with pytest.raises(KeyError):
        prices.of(Channel.WORK_EMAIL)
