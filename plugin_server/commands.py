"""What `clipsonic generate` and `clipsonic models` do."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from plugin_server.engine.bundles import list_bundles, verify_bundle
from plugin_server.errors import BadArgument
from plugin_server.server import build_engine, build_studio
from plugin_server.settings import Settings
from plugin_server.studio.jobs import ClipMade
from plugin_server.studio.requests import Generate
from plugin_server.studio.studio import request_like
from plugin_server.terminal import ProgressBar


def generate_clips(settings: Settings, like: Path | None, given: Mapping[str, object]) -> None:
    """Make clips here and now and print a line for each: the daemon's studio and engine, without its sockets.

    `given` holds fields of Generate; with `like` they change the request that a file was made by.
    """
    request, checksum = _request(like, given)
    engine = build_engine(settings)
    studio = build_studio(settings, engine)
    bar = ProgressBar()

    def announce(clip: ClipMade) -> None:
        bar.end()
        heard = f", confidence {clip.confidence:.2f}, nearest: {clip.nearest}" if clip.nearest else ""
        print(f"{clip.path}  ({clip.seconds:g} s, seed {clip.seed}{heard})", flush=True)

    card, _ = studio.resolve(request)
    try:
        if checksum and engine.load(card.name).checksum != checksum:
            print(f"note: {like} was made by another version of {card.name}; this clip will differ")
        studio.make(request, bar.show, announce)
    finally:
        bar.end()
        engine.stop()


def _request(like: Path | None, given: Mapping[str, object]) -> tuple[Generate, str]:
    if like is not None:
        request, checksum = request_like(like)
        return replace(request, **given), checksum
    if "prompt" not in given:
        raise BadArgument('prompt: got nothing, expected words, as in clipsonic generate "sea waves"')
    return Generate(**given), ""


def print_models(folders: Iterable[Path], verify: bool) -> None:
    """A line a bundle; raises BundleDamaged at the first that is not what its card says, when asked to look."""
    bundles = list_bundles(folders)
    for name, bundle in sorted(bundles.items()):
        card = bundle.card
        size = sum((bundle.folder / file).stat().st_size for file in card.files if (bundle.folder / file).exists())
        lengths = f"{card.lengths.least:g} to {card.lengths.most:g} s"
        print(f"{name} {card.version}  {card.family}, {lengths}, {card.mel.sample_rate} Hz, {size / 2**20:.1f} MiB")
        print(f"    {card.description}")
        print(f"    licence {card.licence}; checksum {bundle.checksum()}; {bundle.folder}")
        if verify:
            verify_bundle(bundle)
            print("    every file is as it should be")
    if not bundles:
        print("no bundles are installed")
