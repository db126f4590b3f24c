"""Phones in vendors' answers: kept as given, and no value if they contain letters, masks or placeholders."""

from hypothesis import given, settings
from hypothesis import strategies as st

from connector.core.limits import MAX_VENDOR_ID_CHARACTERS
from connector.core.mapping_channels import PhoneFormat
from connector.core.model import Channel
from connector.core.phone_format import format_phone
from connector.core.phones import MAX_PHONE_CHARACTERS, phone_of
from connector.core.vendor_values import id_of, plain_word, shown_word, value_of

NUMBERS: list[tuple[object, str]] = [
    ("+1 415 555 0100", "+1 415 555 0100"),
    (" (415) 555-0123\n", "(415) 555-0123"),
    ("+44 (0)20 7946 0018", "+44 (0)20 7946 0018"),
    ("030/1234567", "030/1234567"),
    ("00 44 7700 900123", "00 44 7700 900123"),
    ("555-0132", "555-0132"),
    ("22.12.34.56", "22.12.34.56"),
    ("415.555.0100", "415.555.0100"),
    (14155550123, "14155550123"),
    (14155550123.0, "14155550123"),
    # an extension keeps its meaning
    ("+1 415 555 0100 ext. 5", "+1 415 555 0100 ext. 5"),
    ("+1 415 555 0100 x12", "+1 415 555 0100 x12"),
    ("+1 415 555 0100x12", "+1 415 555 0100x12"),
    ("+1 415 555 0100 #12", "+1 415 555 0100 #12"),
    ("+1 415 555 0100 extension 12", "+1 415 555 0100 extension 12"),
    ("tel:+1-415-555-0123;ext=5", "+1-415-555-0123 ext. 5"),
    # surrounding text is removed
    ("tel:+1-415-555-0123", "+1-415-555-0123"),
    ("tel://+14155550123", "+14155550123"),
    ("tel:555-0132;phone-context=+1-415", "+1-415 555-0132"),
    ("Mobile: +1 415 555 0100", "+1 415 555 0100"),
    ("Phone no.: +1 415 555 0100", "+1 415 555 0100"),
    ("+1 415 555 0100 (mobile)", "+1 415 555 0100"),
    ("'+14155550123", "+14155550123"),
    ('"+14155550123"', "+14155550123"),
    ("+14155550123,", "+14155550123"),
    ("\u202a+1 415 555 0123\u202c", "+1 415 555 0123"),
    ("\ufeff+1 415\u200b 555 0123", "+1 415 555 0123"),
    ("+1 415 555 0100\ufffc", "+1 415 555 0100"),
    ("\u2800+1 415 555\u2800 0100", "+1 415 555 0100"),
    ("+1 415 555\u20130123", "+1 415 555-0123"),
    ("\uff0b\uff14\uff19 30 1234567", "+49 30 1234567"),
    ("+1 415-555-0100; +1 415-555-0100", "+1 415-555-0100"),
    # plausible, but unknown to the library
    ("+999 12345678", "+999 12345678"),
    ("+1 415 555 0123 4567", "+1 415 555 0123 4567"),
]


def test_numbers() -> None:
    wrong = [(raw, number, got) for raw, number in NUMBERS if (got := phone_of(raw)) != number]
    assert wrong == []


NOTHING: list[object] = [
    # letters are digits on a keypad, and the number would be a stranger's
    *("+1 415 555 XXXX", "+1 415 555 xxxx", "+1-800-FLOWERS", "1-800-EXAMPLE", "+1 415 555 01O0", "+1 415 555 01l2"),
    *("+1 415 555 0100 call me", "ask +1 415 555 0100", "+1 415 555 0100 ext", "call reception", "see profile"),
    *("N/A", "n/a", "null", "none", "-", "--", "unknown", "not found", "0", "", " ", "+", "x12", "ext. 5"),
    *("+1 415 *** **12", "+1 415 \u2022\u2022\u2022 0100", "+1 415 555 ____", "+1 415 555 ....", "+1 415 ### ####"),
    *("+1 415 555 01??", "+1 415 555 \u2588\u2588\u2588\u2588", "+1 415 555\u2026"),
    # placeholders
    *("0000000000", "+10000000000", "+1 000 000 0000", "000-000-0000", "1111111111", "+1 111 111 1111", "999-9999"),
    *("+1 999 999 9999", "1234567890", "123-456-7890", "0123456789", "9876543210", "+1 415 000 0000", 0, 1111111111),
    # an incomplete number
    *("0132", "911", "5", "+49 30", "+1 415", "+1 415 555", "+1 555 0132", 911),
    # two numbers
    *("+1 415 555 0100 / +1 415 555 0101", "+14155550100 +14155550101", "+14155550100, +14155550101"),
    *("5550132 or 5550133", "5550132; 5550133", "+1 415 555 0100\n+1 415 555 0101", "+1 415\t555 0132"),
    *("+1 415 555 0100 ext. 5 / +1 415 555 0101", "41555501004155550101"),
    *("ada@example.com", "https://example.com", "12.11.2026 10:00"),
    # dates and IP addresses
    *("2024-01-15", "2024/01/15", "15.01.2024", "15/01/2024", "1-15-2024", "(2024-01-15)", "Mobile: 2024-01-15"),
    *("192.168.1.10", "203.0.113.255", "198.51.100.7"),
    *(None, True, [], {"phone": "+14155550100"}, float("nan"), float("inf"), 1e300, 14155550100.5, -14155550100),
    "+1 415 555 0100" + " " * MAX_PHONE_CHARACTERS,
]


def test_unusable_phones() -> None:
    wrong = [(raw, got) for raw in NOTHING if (got := phone_of(raw)) is not None]
    assert wrong == []


@given(
    st.one_of(
        st.text(max_size=30),
        st.text(st.sampled_from("0123456789+-() ext.#*xX/;,\u200b"), max_size=30),
        st.integers(0, 10**16),
    )
)
@settings(max_examples=300, deadline=None)
def test_any_value_gives_a_number_with_its_own_digits_or_nothing(raw: object) -> None:
    found = phone_of(raw)
    if found is None:
        return
    assert phone_of(found) == found
    digits = "".join(filter(str.isdigit, found))
    for form in PhoneFormat:
        written = format_phone(found, form, "US")
        kept = "".join(filter(str.isdigit, written))
        assert kept.endswith(digits[-4:])
        assert len(kept) <= len(digits) + 1


def test_the_channel_decides_how_a_value_is_parsed() -> None:
    assert value_of(Channel.PHONE, "+1 415 555 0100") == "+1 415 555 0100"
    assert value_of(Channel.PHONE, "ada@example.com") is None
    for channel in (Channel.WORK_EMAIL, Channel.PERSONAL_EMAIL):
        assert value_of(channel, "ada@example.com") == "ada@example.com"
        assert value_of(channel, "+1 415 555 0100") is None


NO_IDS: list[object] = ["", None, True, 1.5, 1e20, float("nan"), ["5"], {}, "5\n", "\x005", "5\u20286", "x" * 201]


def test_unusable_ids() -> None:
    wrong = [(value, got) for value in NO_IDS if (got := id_of(value)) is not None]
    assert wrong == []


IDS: list[tuple[object, str]] = [
    ("5f", "5f"),
    (" 5f ", " 5f "),
    (5, "5"),
    (5.0, "5"),
    (0, "0"),
    ("x" * MAX_VENDOR_ID_CHARACTERS, "x" * MAX_VENDOR_ID_CHARACTERS),
]


def test_ids() -> None:
    wrong = [(value, found, got) for value, found in IDS if (got := id_of(value)) != found]
    assert wrong == []


WORDS: list[tuple[object, str, str]] = [
    ("Not-Found", "notfound", "Not-Found"),
    (" in progress ", "inprogress", "in progress"),
    ("IN_PROGRESS", "inprogress", "IN_PROGRESS"),
    ("a" * 50, "a" * 50, "a" * 40),
    ("queued;<script>", "queued;<script>", "queuedscript"),
    ("ada@example.com", "ada@example.com", ""),
    ("4155550100", "4155550100", ""),
    (None, "", ""),
    (5, "", ""),
]


def test_states_as_words() -> None:
    wrong = [
        (value, compared, displayed, got)
        for value, compared, displayed in WORDS
        if (got := (plain_word(value), shown_word(value))) != (compared, displayed)
    ]
    assert wrong == []


@given(st.text(st.sampled_from("+0123456789() .-"), max_size=20))
@settings(max_examples=500, deadline=None)
def test_a_usual_number_is_judged_as_one_that_needs_cleaning(raw: str) -> None:
    assert phone_of(raw) == phone_of(f"\n{raw}\n")
