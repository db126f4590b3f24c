"""Salesforce's reason for a refusal, without what it quotes of the query or of a record.

A refused query comes back as an echo of a part of it, a caret, `ERROR at Row:1:Column:80`, and then the reason. The
echo holds the condition's values, and is cut anywhere, so its quotes need not match: all of it is left out.
"""

import re
from collections.abc import Iterable

from connector.core.masking import mask_text

LONGEST = 300
_MARK = re.compile(r"ERROR at Row:\d+:Column:\d+")
_OBJECT = re.compile(r"\bon (?:entity|sobject of type) '?(\w+)'?")
_BOILERPLATE = re.compile(r"\.?\s*(?:If you are attempting to use a custom|Please reference your WSDL).*$", re.DOTALL)


def reason_of(message: str, literals: Iterable[str] = ()) -> str:
    """The reason in one line; empty where there is none.

    Args:
        message: of an error that Salesforce sent.
        literals: values of the query, which the reason may quote.
    """
    marks = list(_MARK.finditer(message))
    text = message[marks[-1].end() :] if marks else message
    text = _BOILERPLATE.sub("", text)
    return mask_text(_OBJECT.sub(r"on \1", text), literals, LONGEST)
