"""Parses a SOQL query: text -> tokens -> tree. It knows only the language, neither objects nor records.

The WHERE grammar is Salesforce's own, which differs from SQL's: AND and OR may not be mixed on one level ("Client
applications must specify parentheses when nesting operators", SOQL Reference), and NOT must be alone on its level, so
`a AND NOT b` is refused and `a AND (NOT b)` is not (the grammar of nawforce/apex-parser; jetstreamapp/soql-parser-js,
issue 201; seen November 2026). Keywords are case-insensitive.

Syntax that Salesforce accepts but this simulator does not support (subqueries, functions, grouping) raises
`UnsupportedError`; it never causes an answer that Salesforce would not give.
"""

import re
from dataclasses import dataclass
from typing import NoReturn

MAX_STATEMENT = 100_000
MAX_STRING = 4_000
MAX_OFFSET = 2_000

_TOKEN = re.compile(
    r"""\s+
    | (?P<string>'(?:[^'\\]|\\.)*')
    | (?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))
    | (?P<date>\d{4}-\d\d-\d\d)
    | (?P<number>[+-]?\d+(?:\.\d+)?)
    | (?P<word>[A-Za-z_][\w.]*(?::\d+)?)
    | (?P<mark><=|>=|!=|<>|[=<>(),])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_ESCAPED = {
    **{"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"},
    **{'"': '"', "'": "'", "\\": "\\", "_": "_", "%": "%"},
}
_COMPARISONS = {"=": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_UNKNOWN_CLAUSES = frozenset({"GROUP", "HAVING", "WITH", "FOR", "USING", "ALL", "UPDATE", "TYPEOF"})
_ENDS_OF_FROM = frozenset({"WHERE", "ORDER", "LIMIT", "OFFSET"})


class SoqlError(Exception):
    """A query that Salesforce refuses.

    Args:
        code: `errorCode`.
        message: Salesforce's text.
        at: position in the text, counted from 0; None if the error has no position.
    """

    def __init__(self, code: str, message: str, at: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.at = at


class UnsupportedError(Exception):
    """SOQL that Salesforce may accept, but the simulator does not support."""


@dataclass(frozen=True)
class Token:
    """A token of the query: `kind` (string, datetime, date, number, word, mark, end), its text, its position."""

    kind: str
    text: str
    at: int


@dataclass(frozen=True)
class Literal:
    """A value in WHERE.

    Attributes:
        kind: `string`, `number`, `date`, `datetime`, `boolean`, `null` or `range` (a date literal such as TODAY).
        text: a string with its escapes resolved; anything else as written, in capitals for words.
        raw: the text between the quotes of a string as written; LIKE needs it.
        at: its position.
    """

    kind: str
    text: str
    raw: str
    at: int


@dataclass(frozen=True)
class Comparison:
    """`field operator value`; the operator is one of = != < <= > >= LIKE IN, NOT IN. One value unless it is a list."""

    field: Token
    operator: str
    values: tuple[Literal, ...]


@dataclass(frozen=True)
class Joined:
    """Conditions of one level, of which all (`AND`) or one (`OR`) must be true."""

    word: str
    parts: tuple["Condition", ...]


@dataclass(frozen=True)
class Negated:
    """A negated condition."""

    part: "Condition"


Condition = Comparison | Joined | Negated


@dataclass(frozen=True)
class Ordering:
    """One field of ORDER BY; in both directions, nulls come first unless the query states otherwise."""

    field: Token
    descending: bool
    nulls_last: bool


@dataclass(frozen=True)
class Query:
    """A complete query; `fields` is empty for `SELECT COUNT()`."""

    fields: tuple[Token, ...]
    source: Token
    where: Condition | None
    order: tuple[Ordering, ...]
    limit: int | None
    offset: int


def parse(text: str) -> Query:
    """Parse a query.

    Raises:
        SoqlError: Salesforce would refuse the query.
        UnsupportedError: the simulator does not support the query.
    """
    if len(text) > MAX_STATEMENT:
        raise SoqlError("MALFORMED_QUERY", "SOQL statements cannot be longer than 100,000 characters.")
    return _Parser(_tokens(text)).query()


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _unexpected(Token("mark", text[at], at))
        if match.lastgroup is not None:
            tokens.append(Token(match.lastgroup, match[0], at))
        at = match.end()
    return [*tokens, Token("end", "<EOF>", len(text))]


def _unexpected(token: Token) -> SoqlError:
    return SoqlError("MALFORMED_QUERY", f"unexpected token: '{token.text}'", token.at)


class _Parser:
    """Recursive descent over the tokens; one method per rule of the grammar."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._place = 0

    def query(self) -> Query:
        self._need_word("SELECT")
        fields = self._select_list()
        self._need_word("FROM")
        source = self._need("word")
        following = self._peek()
        if following.kind == "word" and following.text.upper() not in _ENDS_OF_FROM | _UNKNOWN_CLAUSES:
            raise UnsupportedError(f"the alias {following.text}")
        where = self._condition() if self._take_word("WHERE") else None
        order = self._ordering() if self._take_word("ORDER") else ()
        limit = self._count() if self._take_word("LIMIT") else None
        offset = self._count() if self._take_word("OFFSET") else 0
        self._expect_end()
        if offset > MAX_OFFSET:
            raise SoqlError("NUMBER_OUTSIDE_VALID_RANGE", f"Maximum SOQL offset allowed is {MAX_OFFSET}")
        return Query(fields, source, where, order, limit, offset)

    def _select_list(self) -> tuple[Token, ...]:
        if self._peek().text == "(":
            raise UnsupportedError("a subquery")
        fields = [self._need("word")]
        if self._take_mark("("):
            if fields[0].text.upper() == "COUNT" and self._take_mark(")"):
                return ()
            raise UnsupportedError(f"the function {fields[0].text}")
        while self._take_mark(","):
            if self._peek().text == "(":
                raise UnsupportedError("a subquery")
            fields.append(self._need("word"))
            if self._peek().text == "(":
                raise UnsupportedError(f"the function {fields[-1].text}")
        return tuple(fields)

    def _condition(self) -> Condition:
        if self._take_word("NOT"):
            return Negated(self._single_condition())
        parts = [self._single_condition()]
        word = self._peek().text.upper()
        while word in ("AND", "OR") and self._take_word(word):
            parts.append(self._single_condition())
        return parts[0] if len(parts) == 1 else Joined(word, tuple(parts))

    def _single_condition(self) -> Condition:
        if self._take_mark("("):
            inner = self._condition()
            self._need_mark(")")
            return inner
        if self._peek().text.upper() == "NOT":
            raise _unexpected(self._peek())
        return self._comparison()

    def _comparison(self) -> Comparison:
        field = self._need("word")
        if self._peek().text == "(":
            raise UnsupportedError(f"the function {field.text}")
        operator = self._operator()
        if operator not in ("IN", "NOT IN"):
            return Comparison(field, operator, (self._literal(),))
        self._need_mark("(")
        if self._peek().text.upper() == "SELECT":
            raise UnsupportedError("a semi-join")
        values = [self._literal()]
        while self._take_mark(","):
            values.append(self._literal())
        self._need_mark(")")
        return Comparison(field, operator, tuple(values))

    def _operator(self) -> str:
        token = self._next()
        if token.kind == "mark" and token.text in _COMPARISONS:
            return _COMPARISONS[token.text]
        word = token.text.upper() if token.kind == "word" else ""
        if word in ("LIKE", "IN"):
            return word
        if word == "NOT":
            self._need_word("IN")
            return "NOT IN"
        if word in ("INCLUDES", "EXCLUDES"):
            raise UnsupportedError(f"the operator {word}")
        raise _unexpected(token)

    def _literal(self) -> Literal:
        token = self._next()
        if token.kind == "string":
            return _string(token)
        if token.kind in ("number", "date", "datetime"):
            return Literal(token.kind, token.text, token.text, token.at)
        if token.kind == "word" and "." not in token.text:
            word = token.text.upper()
            kind = {"NULL": "null", "TRUE": "boolean", "FALSE": "boolean"}.get(word, "range")
            return Literal(kind, word, token.text, token.at)
        raise _unexpected(token)

    def _ordering(self) -> tuple[Ordering, ...]:
        self._need_word("BY")
        parts = [self._one_ordering()]
        while self._take_mark(","):
            parts.append(self._one_ordering())
        return tuple(parts)

    def _one_ordering(self) -> Ordering:
        field = self._need("word")
        descending = self._take_word("DESC")
        if not descending:
            self._take_word("ASC")
        nulls_last = False
        if self._take_word("NULLS"):
            nulls_last = self._take_word("LAST")
            if not nulls_last:
                self._need_word("FIRST")
        return Ordering(field, descending, nulls_last)

    def _count(self) -> int:
        token = self._next()
        if token.kind != "number" or not token.text.isdigit():
            raise _unexpected(token)
        return int(token.text)

    def _expect_end(self) -> None:
        token = self._peek()
        if token.text.upper() in _UNKNOWN_CLAUSES:
            raise UnsupportedError(f"the clause {token.text}")
        if token.kind != "end":
            raise _unexpected(token)

    def _peek(self) -> Token:
        return self._tokens[self._place]

    def _next(self) -> Token:
        token = self._peek()
        if token.kind == "end":
            self._refuse(token)
        self._place += 1
        return token

    def _need(self, kind: str) -> Token:
        token = self._next()
        if token.kind != kind:
            self._refuse(token)
        return token

    def _take_word(self, word: str) -> bool:
        token = self._peek()
        found = token.kind == "word" and token.text.upper() == word
        self._place += found
        return found

    def _take_mark(self, mark: str) -> bool:
        token = self._peek()
        found = token.kind == "mark" and token.text == mark
        self._place += found
        return found

    def _need_word(self, word: str) -> None:
        if not self._take_word(word):
            self._refuse(self._peek())

    def _need_mark(self, mark: str) -> None:
        if not self._take_mark(mark):
            self._refuse(self._peek())

    def _refuse(self, token: Token) -> NoReturn:
        raise _unexpected(token)


def _string(token: Token) -> Literal:
    raw = token.text[1:-1]

    def resolve(match: re.Match[str]) -> str:
        code = match[1]
        if len(code) > 1:
            return chr(int(code[1:], 16))
        char = _ESCAPED.get(code) or _ESCAPED.get(code.lower() if code in "NRTBF" else "")
        if char is None:
            words = f"Invalid string literal '{raw}'. Illegal character sequence '\\{code}' in string literal."
            raise SoqlError("MALFORMED_QUERY", words, token.at)
        return char

    text = _ESCAPE.sub(resolve, raw)
    if len(text) > MAX_STRING:
        raise SoqlError("MALFORMED_QUERY", f"a string in WHERE is longer than {MAX_STRING:,} characters", token.at)
    return Literal("string", text, raw, token.at)
