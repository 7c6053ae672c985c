"""What field values are made of (RFC 9110 section 5.6): lists, tokens, quoted strings, numbers.

Reading never raises, whatever the bytes. Patterns match possessively, so that the time stays linear in the length of a
value that somebody made up to be slow.
"""

import re
from typing import Final

TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
QUOTED_STRING: Final = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+"'
WORD: Final = rb"(?:%b|%b)" % (TOKEN, QUOTED_STRING)
OWS: Final = rb"[ \t]*+"

_STRING: Final = rb'"(?:[^"\\]|\\.)*+"'  # by its delimiters alone: what is wrong inside spoils one member only
_MEMBER: Final = re.compile(rb'(?:[^",]|%b)++' % _STRING, re.DOTALL)
_UP_TO_UNCLOSED: Final = re.compile(rb'((?:[^"]|%b)*+)"' % _STRING, re.DOTALL)
_IS_TOKEN: Final = re.compile(TOKEN).fullmatch
_ESCAPED: Final = re.compile(rb"\\(.)", re.DOTALL)

MOST: Final = 2**63 - 1
SHORT: Final = 20  # digits; what has fewer is a number without further ado


def members(line: bytes) -> list[bytes]:
    """The members of one line of a list field, empty ones left out; commas in quoted strings do not separate.

    A quote that is never closed quotes nothing: it spoils the member it stands in, and not what follows.
    """
    if b'"' not in line:
        found = line.split(b",")
    else:
        if unclosed := _UP_TO_UNCLOSED.match(line):
            line = unclosed[1] + line[unclosed.end(1) :].replace(b'"', b"\0")
        found = _MEMBER.findall(line)
    return [member for raw in found if (member := raw.strip(b" \t"))]


def unquoted(word: bytes) -> bytes:
    """What a token or quoted string says; both forms mean the same (RFC 9110 section 5.6.6)."""
    return _ESCAPED.sub(rb"\1", word[1:-1]) if word.startswith(b'"') else word


def quoted(text: bytes) -> bytes:
    """The text as a token if it is one, else as a quoted string."""
    return text if _IS_TOKEN(text) else b'"%b"' % text.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def number(digits: bytes, most: int = MOST) -> int | None:
    """1*DIGIT, or `most` if it is more than that (at most MOST); None for anything else.

    Senders choose the length, and Python refuses to convert numbers of more than some thousand digits.
    """
    if not digits.isdigit():
        return None
    if len(digits) < SHORT:
        return min(int(digits), most)
    return min(int(digits.lstrip(b"0")[:20] or b"0"), most)
