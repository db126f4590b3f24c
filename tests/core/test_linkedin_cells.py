"""Fields as people fill them: one name for all spellings of an address, and none if it could be another person's."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.core.linkedin import NotAPerson, normalise, profile_url

URL = "https://www.linkedin.com/in/ada-sample"
SAMPLE = "\u0646\u0645\u0648\u0646\u0647"  # "sample" in Persian
CONTROLS = "\t\n\r\x00\x0b\x0c\x1c\x1f\x7f\x85\u2028\u2029"
NOT_NAMES = ("none", "N-A", "null", "undefined", "unknown", "test", "your-name", "username", "xxx", "-", "0", "000")
NOT_ADDRESSES = ("n/a", "N/A", "none", "None", "unknown", "test", "-", "--", "#N/A", "?", "0", "null", "xxx")

ROUTES = (
    *("pub", "sales", "jobs", "dir", "people", "posts", "details", "overlay", "add", "messaging", "groups", "talent"),
    *("recruiter", "mynetwork", "learning", "recent-activity", "uas", "checkpoint"),
)
NO_NAMES = (
    *(
        "linkedin-member",
        "LinkedIn-User",
        "profile-not-found",
        "your-profile-name",
        "yourlinkedin",
        "your_linkedin_url",
    ),
    *("page-not-found", "mylinkedin", "linkedin-profile", "deleted-user"),
)

REPAIRED = [
    # addresses within addresses
    "https://www.linkedin.com/in/https://www.linkedin.com/in/ada-sample",
    "https://www.linkedin.com/in/http://linkedin.com/in/Ada-Sample/",
    "https://www.linkedin.com/in/www.linkedin.com/in/ada-sample?x=1",
    "https://www.linkedin.com/in/linkedin.com/in/ada-sample",
    "https://www.linkedin.com/in/de.linkedin.com/in/ada-sample",
    "https://www.linkedin.com/in/m.linkedin.com/in/ada-sample",
    "https://www.linkedin.com/in/https%3A%2F%2Fwww.linkedin.com%2Fin%2Fada-sample",
    "https://www.linkedin.com/in/in/ada-sample",
    "https://www.linkedin.com/in/in/in/ada-sample/",
    "/in/https://www.linkedin.com/in/ada-sample",
    "/in/ada-sample",
    # schemes
    "http://https://www.linkedin.com/in/ada-sample",
    "https://http://www.linkedin.com/in/ada-sample",
    "https://https://www.linkedin.com/in/ada-sample",
    "https:/www.linkedin.com/in/ada-sample",
    "https//www.linkedin.com/in/ada-sample",
    "http:www.linkedin.com/in/ada-sample",
    "https:////www.linkedin.com/in/ada-sample",
    "https:\\\\www.linkedin.com\\in\\ada-sample",
    "linkedin://in/ada-sample",
    "https://www.linkedin.com./in/ada-sample",
    "https%3A%2F%2Fwww.linkedin.com%2Fin%2Fada-sample",
    # LinkedIn's other addresses of the same page
    "https://www.linkedin.com/mwlite/in/ada-sample",
    "https://www.linkedin.com/comm/in/ada-sample?midToken=x",
    "https://touch.www.linkedin.com/in/ada-sample",
    "https://br.linkedin.com/in/ada-sample/pt",
    "www.linkedin.com/in/ada-sample?trk=public_profile",
    "https://www.linkedin.com/in/ada-sample&trk=public_profile",
    "https://www.linkedin.com/in/ada-sample&amp;trk=public_profile",
    "https://www.linkedin.com/in/ada-sample/?trk=a&lipi=b",
    "https://www.linkedin.com/in/ada-sample?",
    "https://www.linkedin.com/in/ada-sample?trk",
    "https://www.linkedin.com/in/ada-sample/?anything",
    "https://www.linkedin.com/in/ada-sample?#about?me",
    # text around the address
    "<https://www.linkedin.com/in/ada-sample>",
    '"https://www.linkedin.com/in/ada-sample"',
    "'https://www.linkedin.com/in/ada-sample'",
    "'https://www.linkedin.com/in/ada-sample",
    "(https://www.linkedin.com/in/ada-sample)",
    "[https://www.linkedin.com/in/ada-sample]",
    "\u201chttps://www.linkedin.com/in/ada-sample\u201d",
    "\u00abhttps://www.linkedin.com/in/ada-sample\u00bb",
    '<a href="https://www.linkedin.com/in/ada-sample">Ada</a>',
    '<a href="https://www.linkedin.com/in/ada-sample" target="_blank">https://www.linkedin.com/in/ada-sample</a>',
    "<A target=_blank HREF='https://www.linkedin.com/in/ada-sample?a=1&amp;b=2'>Ada Sample</A>",
    "<p>https://www.linkedin.com/in/ada-sample</p>",
    "https://www.linkedin.com/in/ada-sample<br/>",
    '<p><a href="https://www.linkedin.com/in/ada-sample">Ada</a></p>',
    "[Ada Sample](https://www.linkedin.com/in/ada-sample)",
    '=HYPERLINK("https://www.linkedin.com/in/ada-sample";"Ada")',
    *(
        f"{URL}{end}"
        for end in (",", ".", ")", ";", "!", ">", '"', "),", ");", "/.", "/,", "/)", ", ", " ;", "%2C", "%20")
    ),
    *(f"{URL}{end}" for end in ("%0A", "%00", "%E2%80%8B")),
    # invisible characters before, after and inside
    *(
        f"{mark}{URL}{mark}"
        for mark in ("\ufeff", "\u200b", "\u200e", "\u202a", "\u2060", "\u00ad", "\u2066", "\x00", "\u2028", "\t")
    ),
    *(
        f"https://www.linkedin.com/in/ada{mark}-sample"
        for mark in "\u200b\u200c\u200d\u200e\u202c\u2060\ufeff\u00ad\ufe0f\u034f\u3164\u180b\u2800\ufffc\U0001d159"
    ),
    *(f"https://www.linked{mark}in.com/in/ada-sample" for mark in "\u200b\u00ad\u200d"),
    "https://www.linkedin.com/in/ada%E2%80%8B-sample",
    "https://www.linkedin.com/in/ada%25E2%2580%258B-sample",
]


def test_every_spelling_gives_the_same_person() -> None:
    wrong = [(text, got) for text in REPAIRED if (got := normalise(text)) != "ada-sample"]
    assert wrong == []


IN_EVERY_SCRIPT: list[tuple[str, str]] = [
    ("https://www.linkedin.com/in/jos%25C3%25A9", "jos\u00e9"),
    ("https://www.linkedin.com/in/jos%2525C3%2525A9", "jos\u00e9"),
    # a joiner that changes the letters' shapes is part of the name; an invisible one is not
    (f"linkedin.com/in/{SAMPLE}\u200c\u0627", f"{SAMPLE}\u200c\u0627"),
    (f"linkedin.com/in/{SAMPLE}\u200c\u200c\u0627", f"{SAMPLE}\u200c\u0627"),
    (f"linkedin.com/in/{SAMPLE}\u200c", SAMPLE),
    (f"linkedin.com/in/{SAMPLE}\u200c-1", f"{SAMPLE}-1"),
    ("linkedin.com/in/\u0430\u043d\u043d\u0430\u200d\u0431", "\u0430\u043d\u043d\u0430\u0431"),
    ("linkedin.com/in/\u9752\u200c\u8449", "\u9752\u8449"),
    ("linkedin.com/in/\u0915\u094d\u200d\u0937", "\u0915\u094d\u200d\u0937"),
    ("linkedin.com/in/ada-\u2764\ufe0f\u200d\U0001f525", "ada-\u2764\u200d\U0001f525"),
]


def test_names_in_every_script(subtests: pytest.Subtests) -> None:
    for text, name in IN_EVERY_SCRIPT:
        with subtests.test(text=text, name=name):
            assert normalise(text) == name
            assert normalise(profile_url(name)) == name


REFUSED = {
    # two cells, or two people, in one field
    **{f"https://www.linkedin.com/in/anna-0-62{control}99": "control character" for control in CONTROLS},
    "https://www.linkedin.com/in/anna\thttps://www.linkedin.com/in/bob": "control character",
    "https://www.linkedin.com/in/anna;https://www.linkedin.com/in/bob": "two people",
    "https://www.linkedin.com/in/anna,https://www.linkedin.com/in/bob": "two people",
    "https://www.linkedin.com/in/anna, linkedin.com/in/bob": "two people",
    "https://www.linkedin.com/in/anna https://www.linkedin.com/in/bob": "two people",
    "https://www.linkedin.com/in/annahttps://www.linkedin.com/in/bob": "two people",
    "https://www.linkedin.com/in/annawww.linkedin.com/in/bob": "two people",
    "https://de.linkedin.com/in/annade.linkedin.com/in/bob": "two people",
    "https://www.linkedin.com/in/anna-lee-12www.linkedin.com/in/bob-2": "two people",
    "https://www.linkedin.com/in/annam.linkedin.com/in/bob": "two people",
    "https://www.linkedin.com/in/annalinkedin.com/in/bob": "two people",
    "https://www.linkedin.com/in/anna.www.linkedin.com/in/bob": "two people",
    "https://www.linkedin.com/in/annaWWW.LinkedIn.com/": "two people",
    "https://www.linkedin.com/in/annahttps//www.linkedin.com/bob": "two people",
    "https://www.linkedin.com/in/annawww.linkedin%2Ecom/bob": "two people",
    "https://www.linkedin.com/in/www.linkedin.com/in/annawww.linkedin.com/in/bob": "two people",
    "https://www.linkedin.com/in/annalnkd.in/x1": "two people",
    "annawww.linkedin.com/in/annawww.linkedin.com/in/bob": "two people",
    "https://www.linkedin.com/in/anna?x=1;https://www.linkedin.com/in/bob": "two people",
    '<a href="https://www.linkedin.com/in/anna">https://www.linkedin.com/in/bob</a>': "two people",
    "[linkedin.com/in/anna](https://www.linkedin.com/in/bob)": "two people",
    "x;https://www.linkedin.com/in/anna": "other text beside",
    "https://www.linkedin.com/in/anna;https://example.com/anna": "other text beside",
    "Anna https://www.linkedin.com/in/anna": "other text beside",
    "https://www.linkedin.com/in/anna (private)": "other text beside",
    "https://www.linkedin.com/in/anna/in/bob": "two people",
    "https://www.linkedin.com/in/anna<br>https://www.linkedin.com/in/bob": "two people",
    "https://www.linkedin.com/in/anna-0-62\\t99": "characters that no profile has",
    "https://www.linkedin.com/in/anna-0-62&#9;99": "characters that no profile has",
    "https://www.linkedin.com/in/anna/../bob": "cannot be read",
    "https://www.linkedin.com/in/anna/%2e%2e/bob": "cannot be read",
    # pages that many people share
    "https://www.linkedin.com/in/me/": "logged in",
    "https://www.linkedin.com/in/ME?x=1": "logged in",
    "/in/me/": "logged in",
    "https://www.linkedin.com/in/in/me": "logged in",
    "https://www.linkedin.com/in/self": "logged in",
    "https://www.linkedin.com/in/edit/": "logged in",
    "https://www.linkedin.com/in/%6De/": "logged in",
    "https://www.linkedin.com/in/m\u200be/": "logged in",
    "https://www.linkedin.com/in/unavailable": "cannot be shown",
    "https://www.linkedin.com/in/unavailable/": "cannot be shown",
    "https://www.linkedin.com/in/feed": "LinkedIn's own",
    **{f"https://www.linkedin.com/in/{route}": "LinkedIn's own" for route in ROUTES},
    "https://www.linkedin.com/in/company/acme": "a company's",
    "https://www.linkedin.com/in/school/example-university": "a school's",
    "https://www.linkedin.com/in/pub/anna-lee/1/2/3": "LinkedIn's own",
    **{f"https://www.linkedin.com/in/{name}": "a placeholder" for name in (*NOT_NAMES, *NO_NAMES)},
    # letters that a conversion has lost: the rest can be another person's name
    "https://www.linkedin.com/in/anna\ufffdb": "characters that no profile has",
    "https://www.linkedin.com/in/anna%EF%BF%BDb": "characters that no profile has",
    "https://www.linkedin.com/in/ren?-dupont-12": "a ? inside the name",
    "https://www.linkedin.com/in/j?rgen-m?ller": "a ? inside the name",
    "https://www.linkedin.com/in/j?rgen?trk=x": "a ? inside the name",
    "https://www.linkedin.com/in/j?rgen&trk=x": "a ? inside the name",
    "https://www.linkedin.com/in/j?rgen/?trk=x": "a ? inside the name",
    "https://www.linkedin.com/in/ren??trk=x": "a ? inside the name",
    "https://www.linkedin.com/in/ren?/en": "a ? inside the name",
    "https://www.linkedin.com/in/www.linkedin.com/in/ren?-dupont": "a ? inside the name",
    "https%3A%2F%2Fwww.linkedin.com%2Fin%2Fren%3F-dupont": "a ? inside the name",
    # truncated addresses: the beginning of a name can be another person's
    "https://www.linkedin.com/in/anna-0...": "cut off",
    "https://www.linkedin.com/in/anna-0\u2026": "cut off",
    "https://www.linkedin.com/in/anna-0..": "cut off",
    "https://www.linkedin.com/in/anna-0...)": "cut off",
    "https://www.linkedin.com/in/anna%E2%80%A6": "cut off",
    # placeholders and texts that are not addresses
    **dict.fromkeys(NOT_ADDRESSES, "placeholder"),
    "no profile found": "not on linkedin.com",
    "ada@example.com": "not on linkedin.com",
    "mailto:ada@example.com": "not on linkedin.com",
    "https://lnkd.in/abc123": "short link",
    "lnkd.in/abc123": "short link",
    "linkedin://profile/1234": "does not hold a web address",
    "intent://www.linkedin.com/in/ada#Intent": "does not hold a web address",
    "https://www.google.com/url?q=https://www.linkedin.com/in/ada": "not on linkedin.com",
    "https://www.linkedin.com/profile/view?id=12": "old /profile/",
    "https://www.linkedin.com/recruiter/profile/12": "Recruiter",
    "https://www.linkedin.com/authwall?sessionRedirect=x": "no /in/<name>",
    "https://www.linkedin.com/in/in/": "no /in/<name>",
    "https://www.linkedin.com/in/https://www.linkedin.com": "no /in/<name>",
    "https://www.linkedin.com/in/https://example.com/in/x": "not on linkedin.com",
    "https://www.linkedin.com/in/https://www.linkedin.com/company/x": "a company page",
    "/in/" + "https://linkedin.com/in/" * 5 + "ada": "no /in/<name>",
    "https://www.linkedin.com/in/urn:li:person:1": "characters that no profile has",
    "https://www.linkedin.com/in/ada,sample": "characters that no profile has",
    "https://www.linkedin.com/in/ada&sample": "characters that no profile has",
    # ids of other products, and damaged member ids
    "https://www.linkedin.com/in/AEMAAA8BYqEBxyz": "Recruiter",
    "https://www.linkedin.com/in/ADEAAA8BYqEBxyz": "Recruiter",
    "https://www.linkedin.com/in/acoaaa8byqebcglg_vt-ca6mmeqkpp9nvffj3hc": "lost its capital letters",
    "https://www.linkedin.com/in/ACOAAA8BYQEBCGLG_VT-CA6MMEQKPP9NVFFJ3HC": "lost its capital letters",
}  # fmt: skip


def test_each_refusal_has_its_reason(subtests: pytest.Subtests) -> None:
    for text, words in REFUSED.items():
        with subtests.test(text=text, words=words):
            found = normalise(text)
            assert isinstance(found, NotAPerson), found
            assert words in found.reason


MEMBERS = ["ACoAAA8BYqEBCGLg_vT-ca6mMEqkpp9nVffJ3hc", "ACwAAA8BYqEBxyz", "ACrAAB1cDeF-_9"]


def test_a_member_id_keeps_its_case(subtests: pytest.Subtests) -> None:
    for member in MEMBERS:
        with subtests.test(member=member):
            for text in (
                f"https://www.linkedin.com/in/{member}",
                f"LINKEDIN.COM/IN/{member}/?x=1",
                f"<{member_url(member)}>,",
            ):
                assert normalise(text) == member
            assert profile_url(member) == member_url(member)
            assert normalise(profile_url(member)) == member


def member_url(member: str) -> str:
    return f"https://www.linkedin.com/in/{member}"


def test_member_ids_are_case_sensitive() -> None:
    names = {normalise(member_url(one)) for one in ("ACoAAA8BYqEBxyz", "ACoAAA8BYqEBXyz", "ACoAAA8byqebxyz")}
    assert len(names) == 3


def test_a_public_name_never_becomes_a_member_id() -> None:
    """A public name has no capital, a member id has several."""
    assert normalise(member_url("ACOAAMEDIA")) == normalise(member_url("acoaamedia")) == "acoaamedia"
    assert normalise(member_url("ACoAA")) == "acoaa"


def test_a_long_link_in_html_and_a_long_address() -> None:
    html = f'<a style="{"color:red;" * 60}" href="{URL}">Ada</a>'
    assert len(html) > 500
    assert normalise(html) == "ada-sample"
    assert isinstance(normalise(f"{URL}?x={'1' * 500}"), NotAPerson)
    assert isinstance(normalise(f'<a href="{URL}">{"x" * 6000}</a>'), NotAPerson)


MARKUP: list[str] = ["<a ", '<a href="x"', "<p", "[", "(", "linkedin.com/in/", '=HYPERLINK("', "a;", "<br>"]


def test_a_field_full_of_markup_is_refused() -> None:
    wrong = [
        (piece, got) for piece in MARKUP if not isinstance(got := normalise(piece * (2000 // len(piece))), NotAPerson)
    ]
    assert wrong == []


def test_a_field_with_two_links_is_refused() -> None:
    link = f'<a href="{URL}">Ada</a>'
    assert normalise(link) == "ada-sample"
    assert isinstance(normalise(link + link), NotAPerson)


@given(st.text(max_size=12), st.sampled_from(CONTROLS), st.text(max_size=12))
@settings(max_examples=200, deadline=None)
def test_a_control_character_inside_never_joins_two_texts(before: str, control: str, after: str) -> None:
    found = normalise(f"{URL}{before}1{control}1{after}")
    assert isinstance(found, NotAPerson)


_INVISIBLE = st.text(st.sampled_from("\u200b\u200e\u200f\u202a\u202e\u2060\u2066\ufeff\u00ad\ufe0f"), max_size=3)


@given(st.lists(_INVISIBLE, min_size=len(URL), max_size=len(URL)))
@settings(max_examples=100, deadline=None)
def test_invisible_characters_anywhere_change_nothing(marks: list[str]) -> None:
    text = "".join(mark + character for mark, character in zip(marks, URL, strict=True))
    assert normalise(text) == "ada-sample"
