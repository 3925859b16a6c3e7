"""OSC 1.0 address patterns, matched against addresses."""

import re
from collections.abc import Collection
from functools import lru_cache

from plugin_server.errors import UnknownAddress, short_repr


def match_addresses(pattern: str, addresses: Collection[str]) -> list[str]:
    """Return those of the addresses that an OSC 1.0 address pattern matches. Raises UnknownAddress when none does."""
    if pattern in addresses:
        return [pattern]
    is_pattern = not set(pattern).isdisjoint("?*[{")
    found = [address for address in addresses if _regex(pattern).fullmatch(address)] if is_pattern else []
    if not found:
        raise UnknownAddress(f"address: got {short_repr(pattern)}, expected one of {' '.join(addresses)}")
    return found


@lru_cache(maxsize=256)
def _regex(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of a pattern, cached.

    `?` is one character, `*` any number, `[a-z]` and `[!a]` sets, `{one,two}` choices; none crosses a slash.
    """
    # Several stars match what one does; left as they are, they would match slowly.
    out, rest = "", re.sub(r"\*+", "*", pattern)
    tokens = r"\?|\*|\[(!?)([^\]]+)\]|\{([^}]*)\}|."
    for token in re.finditer(tokens, rest, re.DOTALL):
        text, negated, members, choices = token[0], token[1], token[2], token[3]
        if text == "?":
            out += "[^/]"
        elif text == "*":
            out += "[^/]*"
        elif members is not None:
            inner = re.sub(r"([\\\]\[^&~|])", r"\\\1", members)
            out += f"[{'^/' if negated else ''}{inner}]"
        elif choices is not None:
            out += "(?:" + "|".join(re.escape(choice) for choice in choices.split(",")) + ")"
        else:
            out += re.escape(text)
    try:
        return re.compile(out)
    except re.error:
        return re.compile(r"(?!)")
