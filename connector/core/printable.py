r"""Makes outside text safe to print: it cannot move the cursor, set colours, or hide or reverse other text.

Control characters (C0, DEL, C1, line and paragraph separators), bidirectional overrides and isolates, lone surrogates
and unassigned characters are shown as numbers, such as `\x1b`. Characters without a shape are removed, except for
joiners that change adjacent letters.
"""

import unicodedata

from connector.core.invisible import without_invisible

_BIDIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
CUT = "…"


def printable(text: str) -> str:
    """Make a text printable; its line breaks are kept."""
    return "\n".join(map(one_line, text.split("\n")))


def one_line(text: str, longest: int | None = None) -> str:
    """Make a text printable as one line, with line breaks shown as numbers; at most `longest` characters."""
    shown = text if text.isascii() and text.isprintable() else without_invisible("".join(map(_shown, text)))
    return shown if longest is None or len(shown) <= longest else shown[: longest - 1] + CUT


def printable_values(value: object) -> object:
    """Apply `one_line` to every text and every name in a JSON value."""
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, dict):
        return {
            one_line(name) if isinstance(name, str) else name: printable_values(held) for name, held in value.items()
        }
    if isinstance(value, list | tuple):
        return [printable_values(held) for held in value]
    return value


def _shown(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Zs":
        return " "
    if character.isprintable() or (category == "Cf" and character not in _BIDIRECTIONAL):
        return character  # `without_invisible` removes format characters without a shape or an effect
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
