"""Words that people look for and words that they add to clips: the terms of a search, and tags."""

from plugin_server.errors import BadArgument, short_repr
from plugin_server.studio.words import normal_words, without_quotes

MAX_WORDS = 20
MAX_TAGS = 32
MAX_TAG_LENGTH = 40
"""Characters of one tag."""


def search_terms(words: str) -> tuple[str, str]:
    """Return two queries of FTS5: for all words that are looked for, and for any of those with '-' before them.

    Each word is looked for by its beginning; a query is empty where there are no such words. Raises BadArgument when
    there are none at all.
    """
    terms = [term for term in normal_words(words).split() if any(letter.isalnum() for letter in term)]
    if not terms:
        raise BadArgument(f"words: got {short_repr(words)}, expected words of a prompt, a tag or a name")
    if len(terms) > MAX_WORDS:
        raise BadArgument(f"words: got {len(terms)}, expected at most {MAX_WORDS}")
    wanted = [_beginning(term) for term in terms if not term.startswith("-")]
    unwanted = [_beginning(term.lstrip("-")) for term in terms if term.startswith("-")]
    return " AND ".join(wanted), " OR ".join(unwanted)


def check_tags(words: str) -> None:
    """Check that there are words to add or to take away. Raises BadArgument."""
    if not normal_words(words):
        raise BadArgument("tags: got nothing, expected words; -word takes one away")


def edit_tags(tags: str, words: str) -> str:
    """Return tags with words added, each in its normal form; one that begins with '-' is taken away instead.

    Raises BadArgument when there are too many or too long ones.
    """
    edited: dict[str, str] = {}
    for tag in normal_words(tags).split():
        # Those of earlier versions may stand there twice, in two forms.
        edited.setdefault(tag.casefold(), tag)
    for word in map(without_quotes, normal_words(words).split()):
        if word.startswith("-"):
            edited.pop(word[1:].casefold(), None)
        else:
            edited.setdefault(word.casefold(), word)
    long = [tag for tag in edited.values() if len(tag) > MAX_TAG_LENGTH]
    if long:
        raise BadArgument(f"tags: got {short_repr(long[0])}, expected at most {MAX_TAG_LENGTH} characters")
    if len(edited) > MAX_TAGS:
        raise BadArgument(f"tags: got {len(edited)}, expected at most {MAX_TAGS}")
    return " ".join(edited.values())


def _beginning(term: str) -> str:
    # In quotes nothing is an operator of the query language.
    return '"{}"*'.format(term.replace('"', '""'))
