"""Small clips with a recipe, written as the studio writes them."""

from pathlib import Path

import numpy as np

from plugin_server.audio.clip import Clip
from plugin_server.audio.formats.files import write_clip
from plugin_server.audio.formats.metadata import ClipMetadata


def sound(seed: int) -> Clip:
    """A clip of half a second; another seed, another sound."""
    return Clip.mono(np.random.default_rng(seed).uniform(-0.5, 0.5, 4000), 8000)


def write_made(folder: Path, name: str, prompt: str = "sea waves", seed: int = 1, **more: object) -> Path:
    """A file as the studio writes it; `more` changes its recipe, None takes a field out."""
    return write_as_made(folder, name, sound(seed), prompt, seed, **more)


def write_as_made(
    folder: Path, name: str, clip: Clip, prompt: str = "sea waves", seed: int = 1, **more: object
) -> Path:
    """The same with a sound of one's own."""
    recipe = {"prompt": prompt, "negative": "", "seconds": 0.5, "seed": seed, "steps": 4, "guidance": 2.0}
    recipe |= {"loop": False, "stereo": 0.0, "model": "toy", "checksum": "c", "take": 1, "id": clip.fingerprint()}
    recipe = {key: value for key, value in (recipe | more).items() if value is not None}
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_clip(path, clip, ClipMetadata(title=prompt), recipe)
    return path
