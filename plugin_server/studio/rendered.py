"""Which slots of a bank have their clip already: found by the recipe in the clip's file, so that a clip that was renamed
or moved is found too, and one made from another request, model or sample rate is not."""

import hashlib
import json
import wave
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from plugin_server.audio.wav import read_recipe
from plugin_server.engine.bundles import find_bundle
from plugin_server.errors import BadFile
from plugin_server.studio.banks import Bank, Slot
from plugin_server.studio.entries import Entry
from plugin_server.studio.jobs import ClipMade
from plugin_server.studio.library import Library
from plugin_server.studio.studio import Studio

KEYS = ("prompt", "negative", "seconds", "seed", "steps", "guidance", "loop", "stereo", "model", "checksum", "take")


class Rendered:
    """Looks for slots' clips in the library."""

    def __init__(self, studio: Studio, library: Library) -> None:
        self._studio, self._library = studio, library

    def find(self, slot: Slot) -> ClipMade | None:
        """The clip of a slot, or None. Raises UnknownModel, BundleDamaged, or BadArgument for an impossible length."""
        card, order = self._studio.resolve(slot.request)
        checksum = find_bundle(self._studio.settings.bundle_folders, card.name).checksum()
        wanted = recipe_key({**asdict(order), "model": card.name, "checksum": checksum, "take": 1})
        for entry in self._library.made_from(order.prompt, order.seed, card.name):
            if self._is_it(entry.path, wanted):
                return _clip_of(entry)
        return None

    def _is_it(self, path: Path, wanted: str) -> bool:
        try:
            if recipe_key(read_recipe(path)) != wanted:
                return False
            with wave.open(str(path)) as file:
                return file.getframerate() == self._studio.settings.finish.sample_rate
        except (BadFile, OSError, EOFError, wave.Error):
            # Taken away or overwritten since it was entered: it is made again.
            return False


def recipe_key(recipe: Mapping[str, object]) -> str:
    """A hash of all that decides how a clip sounds."""
    text = json.dumps([recipe.get(key) for key in KEYS])
    return hashlib.blake2s(text.encode(), digest_size=16).hexdigest()


def render_bank(
    bank: Bank, rendered: Rendered, make: Callable[[Slot], ClipMade], tell: Callable[[int, ClipMade, bool], None]
) -> list[ClipMade]:
    """The clip of each slot, made where it is missing; `tell` gets slot, clip and whether it was made now."""
    clips = []
    for number, slot in enumerate(bank.slots):
        found = rendered.find(slot)
        clip = found or make(slot)
        tell(number, clip, found is None)
        clips.append(clip)
    return clips


def _clip_of(entry: Entry) -> ClipMade:
    return ClipMade(entry.id, entry.path, entry.seconds, entry.take, entry.seed)
