"""Clips that were made already, found by the recipe in their files: one that was renamed or moved is found too, and one
made from another request, model or sample rate is not."""

from collections.abc import Mapping
from pathlib import Path

from plugin_server.audio.formats.files import read_rate, read_recipe
from plugin_server.errors import BadFile
from plugin_server.studio.jobs import ClipMade
from plugin_server.studio.library.library import Library
from plugin_server.studio.library.records import ClipRecord, prompt_of

KEYS = (
    "prompt",
    "negative",
    "seconds",
    "seed",
    "steps",
    "guidance",
    "loop",
    "stereo",
    "fingerprints",
    "frames",
    "blend",
    "via",
    "model",
    "checksum",
    "take",
    "bars",
    "bpm",
    "key",
    "format",
)
"""All of a recipe that decides what lies in its file."""
USUAL = {"via": "text"}
"""What is meant where a recipe says nothing, as those from before there were several ways."""


def find_rendered(library: Library, recipe: Mapping[str, object], sample_rate: int) -> ClipMade | None:
    """The newest clip of a recipe and a rate in Hertz, or None. Raises what the library raises."""
    wanted, seed = _deciding(recipe), recipe["seed"]
    if not isinstance(seed, int):
        raise TypeError(f"got {seed!r}, expected a seed")
    for entry in library.find_by_request(prompt_of(recipe), seed, str(recipe["model"])):
        if _is_of(entry.path, wanted, sample_rate):
            return _clip_of(entry)
    return None


def _deciding(recipe: Mapping[str, object]) -> list[object]:
    return [recipe.get(key, USUAL.get(key)) for key in KEYS]


def _is_of(path: Path, wanted: list[object], sample_rate: int) -> bool:
    try:
        if _deciding(read_recipe(path)) != wanted:
            return False
        return read_rate(path) == sample_rate
    except BadFile:
        # Taken away or overwritten since it was entered.
        return False


def _clip_of(entry: ClipRecord) -> ClipMade:
    return ClipMade(entry.id, entry.path, entry.file.seconds, entry.file.take, entry.file.seed)
