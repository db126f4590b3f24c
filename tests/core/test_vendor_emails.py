"""Emails in vendors' answers: repaired if that is certain, and no value if there is no address."""

from hypothesis import given, settings
from hypothesis import strategies as st

from connector.core.emails import MAX_EMAIL_CHARACTERS, email_of

ADA = "ada@example.com"
MARKS = "\u200b\u200e\u200f\u202a\u202c\u2060\u2066\ufeff\u00ad\ufe0f\u2800\ufffc"


WRAPPED: list[str] = [
    ADA,
    f"  {ADA}\n",
    f"mailto:{ADA}",
    f"MAILTO:{ADA}?subject=Hi",
    "mailto:ada%40example.com",
    f"Ada <{ADA}>",
    f"Ada Sample <{ADA}>.",
    f'"Sample, Ada" <{ADA}>',
    f"Sample, Ada <mailto:{ADA}>",
    f"<{ADA}>",
    f"[{ADA}](mailto:{ADA})",
    f'<a href="mailto:{ADA}">{ADA}</a>',
    f'<a href="mailto:Ada@Example.com?subject=Hi" title="Ada">mailto:{ADA}</a>',
    f"<a href=mailto:ada%40example.com>{ADA}.</a>",
    f'<a href="https://example.com/contacts/@ada">{ADA}</a>',
    f"Email: {ADA}",
    f"smtp:{ADA}",
    f"'{ADA}'",
    f'"{ADA}"',
    f"\u201c{ADA}\u201d",
    f"({ADA})",
    f"{ADA}.",
    f"{ADA},",
    f"{ADA};",
    f"{ADA}, {ADA}",
    *(f"{mark}{ADA}{mark}" for mark in MARKS),
    *(f"ada@exam{mark}ple.com" for mark in MARKS),
]


def test_wrappings_are_removed() -> None:
    wrong = [(raw, got) for raw in WRAPPED if (got := email_of(raw)) != ADA]
    assert wrong == []


PLAIN: list[str] = [
    "Ada.Sample@Example.COM",
    "o'neil@example.com",
    "ada+crm@mail.example.com",
    "a_b-c@example.co.uk",
    "info@example.com",
    "007@example.com",
    "na@example.com",
    "nil@example.com",
    "max.nullmann@example.com",
    "jos\u00e9@example.com",
    "testa@example.com",
    "alexx@example.com",
    f"{'a' * 64}@example.com",
    "ada_@example.com",
    "ada__sample@example.com",
    "a-b--c@example.com",
    "ada@xn----7sbab.example.com",
    "123@example.com",
    "mailer.email@example.com",
]


def test_an_address_is_unchanged() -> None:
    wrong = [(raw, got) for raw in PLAIN if (got := email_of(raw)) != raw]
    assert wrong == []


NOTHING: list[object] = [
    *("", " ", "-", "--", "N/A", "n/a", "NA", "null", "NULL", "none", "nil", "not found", "Not Available", "unknown"),
    *("locked", "****", "pending", "false", "@", "ada@", "@example.com", "ada", "example.com", "ada at example.com"),
    *("a***@example.com", "a\u2022\u2022\u2022@example.com", "a...@example.com", "a\u2026@example.com", "***@***.com"),
    *("axxxx@example.com", "a.xxx@example.com", "xxxx@example.com", "ada@xxxxx.com", "j?rg@example.com"),
    *("j\ufffdrg@example.com", "a##@example.com", "ada@e*****e.com"),
    *("email_not_unlocked@domain.com", "email_not_unlocked@example.com", "not-unlocked@example.com"),
    *("noemail@example.com", "no-email@example.com", "no_email_1@example.com", "noemailfound@example.com"),
    *("none@none.com", "null@null.com", "n/a@example.com", "unknown@example.com", "not.found@example.com"),
    *("ada@noemail.com", "test@example.com", "TEST2@example.com", "no-reply@example.com", "placeholder@example.com"),
    *("undefined@example.com", "hidden@example.com", "firstname.lastname@example.com", "---@example.com"),
    *("ada@example", "ada@localhost", "ada@example.test", "ada@example.invalid", "ada@192.0.2.1", "ada@[192.0.2.1]"),
    *("ada@example.c", "ada@-example.com", "ada..b@example.com", ".ada@example.com", "ada@exam_ple.com"),
    *("ada@bob@example.com", "ada@example.com@example.com", '"ada b"@example.com'),
    *("a_____@example.com", "a___n@example.com", "j--@example.com", "_____@example.com", "ada@e-----e.com"),
    *("locked_email@example.com", "email-locked@example.com", "hidden.email@example.com", "unlock_email@example.com"),
    *("000@000.com", "0@example.com", "ada@000.com", "111@111.com", "123@123.com"),
    # two addresses, or a split one: half of an address is another address
    *(f"{ADA}, bob@example.com", f"{ADA};bob@example.com", f"{ADA} | bob@example.com", f"{ADA} or bob@example.com"),
    *(f"{ADA} bob@example.com", f"{ADA}\nbob@example.com", f"{ADA}\tbob@example.com", f"{ADA}, N/A"),
    *(f"Ada <{ADA}>, Bob <bob@example.com>", f"<{ADA}> <bob@example.com>", f"Bob bob@example.com <{ADA}>"),
    *("ada@example.co m", "ada@exam\tple.com", "ada@example.co\u2028m", "ad a@example.com", f"write to {ADA}"),
    f'<a href="mailto:bob@x.example.com">{ADA}</a>',
    f"<A HREF='mailto:bob%40example.com'>{ADA}</A>",
    f'<a href="bob@example.com">{ADA}</a>',
    f'<a href="mailto:{ADA}?cc=bob@example.com">{ADA}</a>',
    f'<a href="mailto:{ADA}" title="bob&#64;example.com">{ADA}</a>',
    *(f"[{ADA}](mailto:bob@example.com)", f"{ADA}\x00"[:-1] + "\x00x"),
    # not text, and very long texts
    *(None, 5, 1.5, True, [ADA], {"email": ADA}),
    *(f"{'a' * 65}@example.com", f"ada@{'a' * 300}.com", f"ada@{'.'.join(['a' * 60] * 6)}.com", f"{ADA}{' ' * 2000}"),
]


def test_unusable_emails() -> None:
    wrong = [(raw, got) for raw in NOTHING if (got := email_of(raw)) is not None]
    assert wrong == []


@given(st.one_of(st.text(max_size=40), st.text(st.sampled_from("ad@.e ,;<>x*\t\u200bmailto:()'\""), max_size=40)))
@settings(max_examples=300, deadline=None)
def test_any_text_gives_one_clean_address_or_nothing(raw: str) -> None:
    found = email_of(raw)
    if found is None:
        return
    assert found in raw.replace("%40", "@") or any(mark in raw for mark in MARKS) or "%" in raw
    assert found.count("@") == 1
    assert len(found) <= MAX_EMAIL_CHARACTERS
    assert found.isprintable()
    assert email_of(found) == found


WORDS = st.text(st.sampled_from("abXYZ019._+-@K\u017f"), min_size=1, max_size=12)
DOMAINS = st.sampled_from(
    ["example.com", "example.test", "localhost", "a.local", "example.c", "ex--ample.com", "a" * 64 + ".com", "1.2.3.4"]
)


@given(st.one_of(WORDS, st.builds("{}@{}".format, WORDS, DOMAINS), st.builds("{}@{}".format, WORDS, WORDS)))
@settings(max_examples=500, deadline=None)
def test_a_usual_address_is_judged_as_one_that_needs_cleaning(raw: str) -> None:
    assert email_of(raw) == email_of(f"\n{raw}\n")
