"""Text as people's programs send it: one normal form for words, and the numbers that a text spells.

Words that look alike are one prompt, one tag and one name, whichever keyboard, patch or file system they come from.
"""

import re
import unicodedata

_APOSTROPHES = "‘’‚‛ʼʻˈ´′＇"
_QUOTES = "“”„‟«»″〝〞〟＂"
_HYPHENS = "‐‑−"
_TYPOGRAPHY = str.maketrans(
    dict.fromkeys(_APOSTROPHES, "'") | dict.fromkeys(_QUOTES, '"') | dict.fromkeys(_HYPHENS, "-")
)
"""Characters that keyboards put in place of those of ASCII. Before NFKC, which makes a space and a mark of some."""
_OUTER_QUOTES = (f'"{_QUOTES}', f"'{_APOSTROPHES}", "`", "‹›", "「」", "『』", "《》", "〈〉")
"""Characters that stand around words and belong together."""
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
"""What nobody sees and is in another category than Cf: fillers, joiners and variation selectors."""
_BARE_NUMBER = r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:e[+-]?\d+)?"
_NUMBER = re.compile(_BARE_NUMBER, re.IGNORECASE | re.ASCII)
_SECONDS = re.compile(rf"({_BARE_NUMBER})\s?(?:s|secs?|seconds?)?", re.IGNORECASE | re.ASCII)
MAX_QUOTES = 4
"""Pairs of quotes, one in the other, that are taken off."""
MAX_NUMBER_TEXT = 40
"""Characters of a text that may be a number: float() of a longer one takes its time."""


def normal_words(text: str) -> str:
    """Return the normal form of words: what looks the same is the same text.

    NFKC, so that composed and decomposed accents, full-width letters and ligatures are one; one space between words;
    no control and no invisible characters; typographic quotes, apostrophes and hyphens as ASCII has them; and without
    the quotes around the whole, which some programs send along. Upper and lower case stay.
    """
    if not text.isascii():
        text = _without_invisible(text).translate(_TYPOGRAPHY)
        # Again, as compatibility forms may hold what typing may.
        text = unicodedata.normalize("NFKC", text).translate(_TYPOGRAPHY)
    if not text.isprintable():
        text = "".join(c if c.isprintable() else _replace(c) for c in text)
    text = " ".join(text.split())
    for _ in range(MAX_QUOTES):
        text = without_quotes(text)
    return text


def without_quotes(text: str) -> str:
    """Return a text without one pair of quotes around the whole, and without the spaces within them."""
    for pair in _OUTER_QUOTES:
        if len(text) > 1 and text[0] in pair and text[-1] in pair:
            inner = text[1:-1]
            if not _has_quote(inner.strip(pair + " "), pair):
                return inner.strip()
    return text


def read_number(text: str) -> float | None:
    """Return the number that a text spells, with a point or a comma; None when it is something else."""
    return _number(_NUMBER, text)


def read_seconds(text: str) -> float | None:
    """Return the seconds that a text spells, as '2', '0,5' or '5 s'; None when it is something else."""
    return _number(_SECONDS, text)


def _number(pattern: re.Pattern[str], text: str) -> float | None:
    if len(text) > MAX_NUMBER_TEXT or not any(c.isdigit() for c in text):
        return None
    match = pattern.fullmatch(normal_words(text))
    return float(match[match.lastindex or 0].replace(",", ".")) if match else None


def _without_invisible(text: str) -> str:
    return _INVISIBLE.sub("", "".join(c for c in text if unicodedata.category(c) != "Cf"))


def _replace(character: str) -> str:
    """Return what stands for a character that cannot be printed."""
    category = unicodedata.category(character)
    if category == "Cs":
        # Half a character, as of bytes that are no text: nothing can write it.
        return "?"
    # Not yet assigned in this Python, or for private use: as it is.
    return character if category in ("Cn", "Co") else " "


def _has_quote(text: str, pair: str) -> bool:
    """Return whether a text has quotes of its own. Between two letters, ' is an apostrophe."""
    if pair[0] == "'":
        return re.search(rf"(?<!\w)[{pair}]|[{pair}](?!\w)", text) is not None
    return any(quote in text for quote in pair)
