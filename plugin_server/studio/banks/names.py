"""Names of banks: which bank a person means, and what the file of a new one is called."""

import re
from collections.abc import Collection

from plugin_server.audio.names import safe_stem, same_name
from plugin_server.errors import BadArgument, short_repr


def match_name(name: str, names: Collection[str]) -> str | None:
    """Return which of the banks' names is meant, however it is written: 'My Kit' is 'my-kit'. None for no one."""
    stem = safe_stem(name)
    return same_name(name, names) or (stem if stem in names and name else None)


def file_name(text: str) -> str:
    """Return the name of a bank's file for a name that a person gives it: 'My Kit' gives 'my-kit'.

    Raises BadArgument for what has no letter, or is a path.
    """
    if re.search(r"[/\\]", text) or not any(letter.isalnum() for letter in text):
        raise BadArgument(f"name: got {short_repr(text)}, expected letters, digits and spaces, as My Kit")
    return safe_stem(text)


def is_text(name: str) -> bool:
    """Return whether a file's name can be written as UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
