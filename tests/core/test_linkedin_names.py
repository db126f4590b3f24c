"""LinkedIn addresses: all spellings that people use give one name; other pages are refused with a plain reason."""

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connector.core.invisible import trimmed
from connector.core.linkedin import MAX_NAME_CHARACTERS, NotAPerson, normalise, profile_url

ACCEPTED = {
    # scheme, case and host
    "https://www.linkedin.com/in/ada-sample": "ada-sample",
    "http://www.linkedin.com/in/ada-sample": "ada-sample",
    "HTTPS://WWW.LINKEDIN.COM/IN/ADA-SAMPLE": "ada-sample",
    "linkedin.com/in/ada-sample": "ada-sample",
    "www.linkedin.com/in/ada-sample/": "ada-sample",
    "//www.linkedin.com/in/ada-sample": "ada-sample",
    "m.linkedin.com/in/ada-sample": "ada-sample",
    "https://m.linkedin.com/in/ada-sample": "ada-sample",
    "https://nl.linkedin.com/in/ada-sample": "ada-sample",
    "https://uk.linkedin.com/in/Ada-Sample": "ada-sample",
    "https://www.linkedin.com:443/in/ada-sample": "ada-sample",
    "  https://www.linkedin.com/in/ada-sample \n": "ada-sample",
    "https://www.linkedin.com//in//ada-sample//": "ada-sample",
    # texts after the name
    "https://www.linkedin.com/in/ada-sample/en": "ada-sample",
    "https://www.linkedin.com/in/ada-sample/de/": "ada-sample",
    "https://www.linkedin.com/in/ada-sample/details/experience/": "ada-sample",
    "https://www.linkedin.com/in/ada-sample/overlay/contact-info/": "ada-sample",
    "https://www.linkedin.com/in/ada-sample?originalSubdomain=nl": "ada-sample",
    "https://www.linkedin.com/in/ada-sample/?trk=https://x.example/y": "ada-sample",
    "linkedin.com/in/ada-sample?from=https://x.example": "ada-sample",
    "https://www.linkedin.com/in/ada-sample#about": "ada-sample",
    # names
    "https://www.linkedin.com/in/ada-sample-1a2b3c4": "ada-sample-1a2b3c4",
    "https://www.linkedin.com/in/ada.sample_x~y": "ada.sample_x~y",
    "https://www.linkedin.com/in/jos%C3%A9-mu%C3%B1oz": "josé-muñoz",
    "https://www.linkedin.com/in/JOS%c3%89-MU%c3%91OZ": "josé-muñoz",
    "https://www.linkedin.com/in/jose\u0301-mun\u0303oz": "josé-muñoz",
    "https://www.linkedin.com/in/josé-muñoz": "josé-muñoz",
    "https://www.linkedin.com/in/青葉-健人": "青葉-健人",
    "https://www.linkedin.com/in/%E9%9D%92%E8%91%89-%E5%81%A5%E4%BA%BA": "青葉-健人",
    "https://www.linkedin.com/in/анна-образец": "анна-образец",
    "https://www.linkedin.com/in/АННА-ОБРАЗЕЦ": "анна-образец",
    "https://www.linkedin.com/in/%D9%86%D9%85%D9%88%D9%86%D9%87": "نمونه",
    "https://www.linkedin.com/in/نمونه\u200cای": "نمونه\u200cای",
    "https://www.linkedin.com/in/%E0%A4%95%E0%A5%8D%E2%80%8D%E0%A4%B7": "क्\u200dष",
    "https://www.linkedin.com/in/ada-👩\u200d💻": "ada-👩\u200d💻",
}

REFUSED = {
    "": "not on linkedin.com",
    "Ada Sample": "not on linkedin.com",
    "ada-sample": "not on linkedin.com",
    "in/ada-sample": "not on linkedin.com",
    "https://www.linkedin.com": "no /in/<name>",
    "https://www.linkedin.com/in/": "no /in/<name>",
    "https://www.linkedin.com/ada-sample": "no /in/<name>",
    "https://www.linkedin.com/feed/": "no /in/<name>",
    "https://www.linkedin.com/posts/ada-sample_robotics": "no /in/<name>",
    "https://www.linkedin.com/groups/in/ada-sample": "no /in/<name>",
    "https://www.linkedin.com/company/example-works": "a company page",
    "https://www.linkedin.com/COMPANY/example-works/in/ada": "a company page",
    "https://www.linkedin.com/showcase/example-works": "a company page",
    "https://www.linkedin.com/school/example-university/": "a school's page",
    "https://www.linkedin.com/sales/lead/ACwAAAB,NAME_SEARCH": "Sales Navigator",
    "https://www.linkedin.com/sales/people/ACwAAAB": "Sales Navigator",
    "https://www.linkedin.com/talent/profile/AEMAAAB": "Recruiter",
    "https://www.linkedin.com/pub/ada-sample/1/2a/3b4": "/pub/",
    # other hosts, and hosts that look alike
    "https://example.com/in/ada-sample": "not on linkedin.com",
    "https://linkedin.com.evil.example/in/ada-sample": "not on linkedin.com",
    "https://www.linkedin.com.evil.example/in/ada-sample": "not on linkedin.com",
    "https://evillinkedin.com/in/ada-sample": "not on linkedin.com",
    "https://linkedin.co/in/ada-sample": "not on linkedin.com",
    "https://linkedin.example/in/ada-sample": "not on linkedin.com",
    "https://evil.example/linkedin.com/in/ada-sample": "not on linkedin.com",
    "https://evil.example?linkedin.com/in/ada-sample": "not on linkedin.com",
    "https://evil.example#linkedin.com/in/ada-sample": "not on linkedin.com",
    "https://lınkedin.com/in/ada-sample": "not on linkedin.com",
    "https://ｌｉｎｋｅｄｉｎ.com/in/ada-sample": "not on linkedin.com",
    "https://evil.example\\.linkedin.com/in/ada-sample": "not on linkedin.com",
    # users, ports and schemes
    "https://linkedin.com@evil.example/in/ada-sample": "not on linkedin.com",
    "https://linkedin.com:443@evil.example/in/ada-sample": "not on linkedin.com",
    "https://evil.example@linkedin.com/in/ada-sample": "names a user or a port",
    "https://user:secret@www.linkedin.com/in/ada-sample": "names a user or a port",
    "https://www.linkedin.com:8443/in/ada-sample": "names a user or a port",
    "https://www.linkedin.com:port/in/ada-sample": "cannot be read",
    "https://www.linkedin.com:99999/in/ada-sample": "cannot be read",
    "ftp://www.linkedin.com/in/ada-sample": "does not hold a web address",
    "javascript://www.linkedin.com/in/ada-sample": "does not hold a web address",
    "mailto:ada@linkedin.com/in/ada-sample": "names a user or a port",
    "https://[linkedin.com/in/ada-sample": "cannot be read",
    # impossible names
    "https://www.linkedin.com/in/%20": "characters that no profile has",
    "https://www.linkedin.com/in/ada sample": "other text beside the address",
    "https://www.linkedin.com/in/ada%2Fsample": "characters that no profile has",
    "https://www.linkedin.com/in/ada%5Csample": "characters that no profile has",
    "https://www.linkedin.com/in/%2e%2e": "characters that no profile has",
    "https://www.linkedin.com/in/ada%3Fx": "characters that no profile has",
    "https://www.linkedin.com/in/ada%2525": "characters that no profile has",
    "https://www.linkedin.com/in/ada%00sample": "characters that no profile has",
    "https://www.linkedin.com/in/anna-0-62%0999": "characters that no profile has",
    "https://www.linkedin.com/in/<name>": "characters that no profile has",
    "https://www.linkedin.com/in/jos%E9": "broken percent-encoding",
    "https://www.linkedin.com/in/" + "a" * 301: "longer than 300",
    "https://www.linkedin.com/in/" + "a" * 500: "longer than 500",
}


def test_every_spelling_gives_the_same_name() -> None:
    wrong = [(address, name, got) for address, name in ACCEPTED.items() if (got := normalise(address)) != name]
    assert wrong == []


def test_pages_of_no_person_are_refused_with_a_reason(subtests: pytest.Subtests) -> None:
    for address, words in REFUSED.items():
        with subtests.test(address=address, words=words):
            found = normalise(address)
            assert isinstance(found, NotAPerson), found
            assert words in found.reason


CANONICAL: list[tuple[str, str]] = [
    ("ada-sample", "https://www.linkedin.com/in/ada-sample"),
    ("josé", "https://www.linkedin.com/in/jos%C3%A9"),
    ("青葉", "https://www.linkedin.com/in/%E9%9D%92%E8%91%89"),
    ("a.b_c~d", "https://www.linkedin.com/in/a.b_c~d"),
]


def test_the_canonical_address_is_ascii() -> None:
    wrong = [(name, url, got) for name, url in CANONICAL if (got := profile_url(name)) != url]
    assert wrong == []


_addresses = st.one_of(
    st.text(max_size=60),
    st.text(max_size=40).map(lambda text: f"https://www.linkedin.com/in/{text}"),
    st.text(st.sampled_from("%0123456789ABCDEFabcdef/?#@:.\\ -in"), max_size=30).map(lambda t: f"linkedin.com/in/{t}"),
    st.builds(
        "{}://{}/{}/{}".format,
        st.sampled_from(["http", "https", "ftp", "HTTPS", "x"]),
        st.sampled_from(["linkedin.com", "WWW.LinkedIn.com", "a@linkedin.com", "linkedin.com:80", "evil.example"]),
        st.sampled_from(["in", "IN", "company", "pub", ""]),
        st.text(max_size=30),
    ),
)


@given(_addresses)
@settings(max_examples=400, deadline=None)
@example("https://www.linkedin.com/in/İstanbul")
@example("https://www.linkedin.com/in/ΑΣ")
@example("https://www.linkedin.com/in/ǅ")
@example("https://www.linkedin.com/in/T\u0308")
@example("https://www.linkedin.com/in/Ά\u0345")
def test_any_text_gives_a_clean_name_or_a_reason(address: str) -> None:
    found = normalise(address)
    if isinstance(found, NotAPerson):
        assert found.reason
        return
    assert found
    assert len(found) <= MAX_NAME_CHARACTERS
    assert found == found.lower() or found.startswith("AC")
    assert found == unicodedata.normalize("NFC", found)
    assert not any(c.isspace() or c in "/\\?#%" for c in found)
    assert normalise(profile_url(found)) == found
    assert profile_url(found).isascii()


def is_a_name_without_query(text: str) -> bool:
    """Whether the text has a profile's name, and no query that would include appended text."""
    return "?" not in text and isinstance(normalise(f"linkedin.com/in/{text}"), str)


@given(st.text(max_size=20).filter(is_a_name_without_query))
@settings(max_examples=100, deadline=None)
def test_hosts_and_tails_do_not_change_the_name(text: str) -> None:
    name = normalise(f"linkedin.com/in/{text}")
    found = {
        normalise(f"{head}/in/{text}{tail}")
        for head in ("linkedin.com", "https://www.linkedin.com", "http://m.linkedin.com", "HTTPS://br.LinkedIn.COM")
        for tail in ("", "/", "/en", "/details/skills/?x=1")
    }
    assert {one for one in found if isinstance(one, str)} == {name}
    if text == trimmed(text):  # a blank inside an address is refused; at its end it is ignored
        assert found == {name}
