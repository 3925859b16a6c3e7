"""Errors of other packages in one sentence: theirs go on for pages."""

MAX_LENGTH = 300


def error_sentence(error: Exception) -> str:
    """Return the first two lines of what an error says, in one; its class where it says nothing."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines[:2]) or type(error).__name__
    return text if len(text) <= MAX_LENGTH else f"{text[:MAX_LENGTH]}..."
