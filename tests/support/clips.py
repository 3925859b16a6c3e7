"""Make clips in tests with a ClipGenerator."""

from plugin_server.studio.generator import ClipGenerator
from plugin_server.studio.jobs import ClipMade
from plugin_server.studio.requests import Generate


def ignore(fraction: float, stage: str) -> None:
    """Take no notice of progress."""


def make(generator: ClipGenerator, **fields) -> list[ClipMade]:
    """Return the clips of a request with these fields."""
    clips: list[ClipMade] = []
    generator.run(Generate(**({"prompt": "Sea Waves!"} | fields)), ignore, clips.append)
    return clips
