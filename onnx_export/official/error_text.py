"""Errors of other packages in one sentence: theirs go on for pages."""

LONGEST = 300


def sentence(error: Exception) -> str:
    """The first two lines of what an error says, in one; its class where it says nothing."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = " ".join(lines[:2]) or type(error).__name__
    return said if len(said) <= LONGEST else f"{said[:LONGEST]}..."
