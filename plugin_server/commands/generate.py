"""The commands `clipsonic generate` and `clipsonic models`."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from plugin_server.commands.terminal import ProgressBar
from plugin_server.engine.bundles.card import Lengths
from plugin_server.engine.bundles.registry import BundleRegistry, verify_bundle
from plugin_server.errors import BadArgument
from plugin_server.server import open_studio
from plugin_server.settings import Settings
from plugin_server.studio.jobs import ClipMade
from plugin_server.studio.planning import check
from plugin_server.studio.requests import Generate, split_length
from plugin_server.studio.reuse import request_like

DEFAULT_BPM = 120.0
"""Beats a minute of `--bars` without `--bpm`."""
NUMBER = re.compile(r"-?\d+(\.\d+)?")


def generate_clips(settings: Settings, words: Sequence[str], like: Path | None, given: Mapping[str, Any]) -> None:
    """Make clips here and now and print a line for each: the daemon's studio and engine, without its sockets.

    `words` are the prompt and perhaps its length, `given` holds fields of Generate; with `like` both change the
    request that a file was made by.
    """
    with open_studio(settings) as (studio, engine):
        model = str(given.get("model", ""))
        given = {**_words_as_fields(words, given, lambda: studio.card(model).lengths), **given}
        request, checksum = _build_request(like, given)
        card = studio.card(request.model)
        check(request, card)
        if checksum and engine.load(card.name).checksum != checksum:
            print(f"note: {like} was made by another version of {card.name}; this clip will differ")
        with ProgressBar() as bar:
            studio.run(request, bar.show, lambda clip: _print_clip(bar, clip))


def _print_clip(bar: ProgressBar, clip: ClipMade) -> None:
    bar.end()
    match = f", confidence {clip.confidence:.2f}, nearest: {clip.nearest}" if clip.nearest else ""
    print(f"{clip.path}  ({clip.seconds:g} s, seed {clip.seed}{match})", flush=True)


def read_words(words: Sequence[str], lengths: Callable[[], Lengths]) -> tuple[str, float | None]:
    """Return the prompt and the length in seconds of words as a shell gives them, None where they give no length.

    They are read as `/generate` reads its arguments.
    """
    prompt, seconds = split_length(words, _last_number(words), lengths)
    return " ".join(prompt), seconds


def _last_number(words: Sequence[str]) -> float | None:
    return float(words[-1]) if words and NUMBER.fullmatch(words[-1]) else None


def _words_as_fields(words: Sequence[str], given: Mapping[str, Any], lengths: Callable[[], Lengths]) -> dict[str, Any]:
    """Return the prompt and the length, where the words give them, as fields of Generate."""
    prompt, seconds = words, None
    if "seconds" not in given:
        prompt, seconds = split_length(words, _last_number(words), lengths, has_images="images" in given)
    fields: dict[str, Any] = {"prompt": " ".join(prompt)} if prompt else {}
    return fields if seconds is None else fields | {"seconds": seconds}


def _build_request(like: Path | None, given: Mapping[str, Any]) -> tuple[Generate, str]:
    if like is not None:
        request, checksum = request_like(like, given.get("images", ()))
        if "model" in given:
            # Another model has other conditionings; that of the clip was perhaps not asked for.
            request = replace(request, conditioning="")
        return replace(request, **_with_length(request, given)), checksum
    if "prompt" not in given and "images" not in given:
        raise BadArgument('prompt: got nothing, expected words or --image, as in clipsonic generate "sea waves"')
    return Generate(**_with_length(Generate("any"), given)), ""


def _with_length(request: Generate, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flags as changes of a request: seconds replace the bars that it has, and bars the seconds."""
    values = dict(given)
    if "bars" in given:
        values = {"seconds": None, "bpm": request.bpm or DEFAULT_BPM} | values
    elif "seconds" in given:
        values = {"bars": None} | values
    return values


def print_models(folders: Iterable[Path], *, verify: bool) -> None:
    """Print a line for each bundle; with `verify` raise BundleDamaged at the first that is not what its card says."""
    bundles = BundleRegistry(folders).bundles()
    for name, bundle in sorted(bundles.items()):
        card = bundle.card
        size = sum((bundle.folder / file).stat().st_size for file in card.files if (bundle.folder / file).exists())
        lengths = f"{card.lengths.minimum:g} to {card.lengths.maximum:g} s"
        print(f"{name} {card.version}  {card.family}, {lengths}, {card.mel.sample_rate} Hz, {size / 2**20:.1f} MiB")
        print(f"    {card.description}")
        print(f"    licence {card.licence}; checksum {bundle.checksum()}; {bundle.folder}")
        if verify:
            verify_bundle(bundle)
            print("    every file is as it should be")
    if not bundles:
        print("no bundles are installed")
