"""OSC 1.0 address patterns, matched against addresses.

Patterns come from strangers: each is read into at most 256 tokens, and a token takes one step along all positions of
an address at once. No pattern makes matching slow, as a regular expression would that is made from one.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from plugin_server.errors import UnknownAddress, short_repr

MAX_PATTERN = 256
"""Characters of an address or a pattern."""
MAX_WILDCARDS = 32
"""Characters of a pattern that stand for others."""
_SPECIAL = frozenset("?*[{")


def match_addresses(pattern: str, addresses: Collection[str]) -> list[str]:
    """Return those of the addresses that an OSC 1.0 address pattern matches.

    `?` is one character, `*` any number, `[a-z]` and `[!a]` sets, `{one,two}` choices; none of them but a choice
    crosses a slash. Raises UnknownAddress when it matches none, is longer than MAX_PATTERN, or has more than
    MAX_WILDCARDS of these.
    """
    if len(pattern) > MAX_PATTERN:
        raise UnknownAddress(f"address: got {len(pattern)} characters, expected at most {MAX_PATTERN}")
    if pattern in addresses:
        return [pattern]
    n_wildcards = sum(character in _SPECIAL for character in pattern)
    if n_wildcards > MAX_WILDCARDS:
        raise UnknownAddress(
            f"address: got a pattern with {n_wildcards} of ? * [ and {{, expected at most {MAX_WILDCARDS}"
        )
    found = []
    if n_wildcards:
        tokens = list(_tokens(pattern))
        found = [address for address in addresses if _matches(tokens, address)]
    if not found:
        raise UnknownAddress(f"address: got {short_repr(pattern)}, expected one of {' '.join(addresses)}")
    return found


@dataclass(frozen=True, slots=True)
class _Star:
    """Any number of characters."""


@dataclass(frozen=True, slots=True)
class _OneOf:
    """One character that is among some, or among none of them."""

    members: frozenset[str] = frozenset()
    is_negated: bool = False


@dataclass(frozen=True, slots=True)
class _Choice:
    """One of several texts."""

    texts: tuple[str, ...]


_Token = _Star | _OneOf | _Choice
_ANY = _OneOf(frozenset("/"), is_negated=True)


def _tokens(pattern: str) -> Iterator[_Token]:
    """Yield the tokens of a pattern; a bracket or brace that is not closed stands for itself."""
    at = 0
    while at < len(pattern):
        character, close = pattern[at], _find_close(pattern, at)
        if close >= 0:
            inside = pattern[at + 1 : close]
            yield _read_set(inside) if character == "[" else _Choice(tuple(dict.fromkeys(inside.split(","))))
        elif character == "*":
            yield _Star()
        else:
            yield _ANY if character == "?" else _OneOf(frozenset(character))
        at = max(at, close) + 1


def _find_close(pattern: str, at: int) -> int:
    """Return where the bracket or brace at `at` is closed, -1 where none is or nothing stands between brackets."""
    if pattern[at] == "{":
        return pattern.find("}", at)
    return pattern.find("]", at + 2) if pattern[at] == "[" else -1


def _read_set(inside: str) -> _OneOf:
    """Return the token of what stands between brackets; a range that runs backwards has no members."""
    is_negated = len(inside) > 1 and inside.startswith("!")
    text, at = inside[1:] if is_negated else inside, 0
    members: set[str] = set()
    while at < len(text):
        first, last = ord(text[at]), ord(text[at])
        if text[at + 1 : at + 2] == "-" and at + 2 < len(text):
            last = ord(text[at + 2])
            at += 2
        members |= {chr(code) for code in range(first, min(last, first + 0x7F) + 1)}
        at += 1
    # Whatever stands for other characters stands for no slash.
    return _OneOf(frozenset(members | {"/"} if is_negated else members - {"/"}), is_negated)


def _matches(tokens: list[_Token], address: str) -> bool:
    """Return whether the tokens match the whole address; bit i of `reached` says that some match its first i."""
    reached, no_slash = 1, sum(1 << i for i, character in enumerate(address) if character != "/")
    for token in tokens:
        if not reached:
            return False
        match token:
            case _Star():
                reached = _spread(reached, no_slash)
            case _OneOf():
                reached = _step(reached, address, token)
            case _Choice(texts):
                reached = _choose(reached, address, texts)
    return bool(reached >> len(address) & 1)


def _spread(reached: int, no_slash: int) -> int:
    while (further := reached | (reached & no_slash) << 1) != reached:
        reached = further
    return reached


def _step(reached: int, address: str, token: _OneOf) -> int:
    after = 0
    for i, character in enumerate(address):
        if reached >> i & 1 and (character in token.members) != token.is_negated:
            after |= 1 << i + 1
    return after


def _choose(reached: int, address: str, texts: tuple[str, ...]) -> int:
    after = 0
    for i in range(len(address) + 1):
        if reached >> i & 1:
            for text in texts:
                if address.startswith(text, i):
                    after |= 1 << i + len(text)
    return after
