"""Invisible characters in text that people paste and vendors send.

Format characters without a shape (zero-width spaces, byte order marks, direction marks, soft hyphens, variation
selectors) change a text but not its appearance: they are removed. Control characters (tab, line break, NUL, U+0085,
U+2028) are separators: inside an identifier or a value they show that two entries were joined, so callers refuse them.

The two joiners belong to the spelling in some scripts. Unicode gives them a meaning after a virama, between letters of
cursive scripts and between the parts of an emoji (RFC 5892, appendix A); there they change the appearance and are kept.
Elsewhere they are invisible and are removed, because two texts that look the same must be the same.
"""

import unicodedata

_ZWNJ, _ZWJ = "\u200c", "\u200d"
JOINERS = frozenset({_ZWNJ, _ZWJ})
_VIRAMA = 9  # canonical combining class
# Default_Ignorable_Code_Point outside the category Cf (Unicode 15, DerivedCoreProperties.txt), and characters that are
# drawn blank: the blank Braille pattern, the object replacement character, the null notehead.
_IGNORABLE = (
    (0x034F, 0x034F),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x2800, 0x2800),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFFA0, 0xFFA0),
    (0xFFFC, 0xFFFC),
    (0x1D159, 0x1D159),
    (0xE0000, 0xE0FFF),
)
# Format characters with their own shape, or with a meaning for the adjacent text.
_SHAPED = frozenset(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\ufff9\ufffa\ufffb\U000110bd\U000110cd"
)
_CURSIVE = ("ARABIC", "SYRIAC", "NKO", "MANDAIC", "MONGOLIAN", "PHAGS-PA", "MANICHAEAN", "ADLAM", "HANIFI", "SOGDIAN")


def is_control(character: str) -> bool:
    """Whether the character separates or controls: tab, line break, NUL, U+0085, line and paragraph separators."""
    return unicodedata.category(character) in {"Cc", "Zl", "Zp"}


def has_control(text: str) -> bool:
    """Whether the text contains a control character."""
    return not _is_plain(text) and any(map(is_control, text))


def is_invisible(character: str) -> bool:
    """Whether the character has no shape; true for joiners."""
    if unicodedata.category(character) == "Cf":
        return character not in _SHAPED
    return any(first <= ord(character) <= last for first, last in _IGNORABLE)


def trimmed(text: str) -> str:
    """Remove blanks, control characters and invisible characters at both ends of the text."""
    if _is_plain(text):
        return text.strip(" ")
    start, end = 0, len(text)
    while start < end and _is_margin(text[start]):
        start += 1
    while end > start and _is_margin(text[end - 1]):
        end -= 1
    return text[start:end]


def visible(text: str) -> str:
    """Reduce a text to its visible content: trimmed, and without invisible characters inside."""
    return trimmed(without_invisible(text))


def without_invisible(text: str) -> str:
    """Remove characters without a shape; joiners stay if they change the appearance."""
    if _is_plain(text):
        return text
    kept: list[str] = []
    for index, character in enumerate(text):
        if character in JOINERS:
            if kept and kept[-1] not in JOINERS and _has_effect(character, kept[-1], _next_shape(text, index)):
                kept.append(character)
        elif not is_invisible(character):
            kept.append(character)
    return "".join(kept)


def _is_plain(text: str) -> bool:
    """Whether all characters are printable ASCII, so that none is invisible; a fast path for most texts."""
    return text.isascii() and text.isprintable()


def _is_margin(character: str) -> bool:
    return character.isspace() or is_control(character) or is_invisible(character)


def _next_shape(text: str, index: int) -> str:
    return next((character for character in text[index + 1 :] if not is_invisible(character)), "")


def _has_effect(joiner: str, before: str, after: str) -> bool:
    """Whether a joiner between these two characters changes their appearance."""
    if not after:
        return False
    if unicodedata.combining(before) == _VIRAMA:
        return unicodedata.category(after)[0] == "L"
    if joiner == _ZWJ and _is_pictograph(before) and _is_pictograph(after):
        return True
    return _is_cursive(before) and _is_cursive(after)


def _is_cursive(character: str) -> bool:
    return unicodedata.category(character)[0] in "LM" and unicodedata.name(character, "").startswith(_CURSIVE)


def _is_pictograph(character: str) -> bool:
    return unicodedata.category(character) in {"So", "Sk"}
