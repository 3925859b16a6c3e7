"""`clipsonic generate`: clips without a daemon."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plugin_server.audio.names import same_name
from plugin_server.commands.flags import Commands, add_settings, clip_named, settings_of_daemon
from plugin_server.commands.terminal import ProgressBar
from plugin_server.errors import BadArgument, UnknownClip
from plugin_server.studio.attributes import Attribute, Flag, Kind
from plugin_server.studio.paths import named_path
from plugin_server.studio.requests import ATTRIBUTES, Generate, split_length
from plugin_server.studio.seeds import ANY_SEED
from plugin_server.studio.words import read_number, read_seconds

if TYPE_CHECKING:
    from plugin_server.engine.bundles.card import Lengths
    from plugin_server.settings import Settings
    from plugin_server.studio.jobs import ClipMade

DEFAULT_BPM = 120.0
"""Beats a minute of `--bars` without `--bpm`."""


def number(text: str) -> float:
    """Return the number that a flag's text spells, with a point or a comma. Raises ArgumentTypeError."""
    value = read_number(text)
    if value is None:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number")
    return value


def seconds(text: str) -> float:
    """Return the seconds that a flag's text spells, as '0,5' or '5s'. Raises ArgumentTypeError."""
    value = read_seconds(text)
    return number(text) if value is None else value


def whole_number(text: str) -> int:
    """Return the whole number that a flag's text spells. Raises ArgumentTypeError."""
    value = number(text)
    if not value.is_integer():
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a whole number")
    return int(value)


VALUE_TYPES: dict[Kind, Callable[[str], object]] = {
    Kind.NUMBER: number,
    Kind.WHOLE_NUMBER: whole_number,
    Kind.PATHS: named_path,
}
"""How a flag's value is read; others are text."""


def add_parser(commands: Commands) -> None:
    """Add the command `generate` to the parser of `clipsonic`."""
    parser = commands.add_parser("generate", help="make clips without a daemon")
    parser.add_argument(
        "prompt", nargs="*", help='words for the sound, and perhaps its length, as in "sea waves" 5; kick 808 are words'
    )
    for row in sorted((row for row in ATTRIBUTES if row.flag), key=_flag_order):
        _add_flag(parser, row)
    parser.add_argument(
        "--like", metavar="CLIP", help="make a clip again: last, or its id, name or file; other flags change it"
    )
    add_settings(parser)
    parser.set_defaults(run=run)


def _as_choice(choices: Sequence[str], text: str) -> str:
    """Return the choice that a text means in any case; any other text as it is."""
    return same_name(text, choices) or text


def _flag_order(row: Attribute) -> int:
    return row.flag.order if row.flag else 0


def _add_flag(parser: argparse.ArgumentParser, row: Attribute) -> None:
    """Add the flag of one attribute; None says that it was not given."""
    flag = row.flag or Flag(0)
    details: dict[str, Any] = {"dest": row.field, "help": row.help}
    if row.kind is Kind.SWITCH and row.default is None:
        details |= {"action": argparse.BooleanOptionalAction}
    elif row.kind is Kind.SWITCH:
        details |= {"action": "store_const", "const": True}
    elif row.choices:
        details |= {"choices": row.choices, "type": partial(_as_choice, row.choices)}
    else:
        details |= {"type": seconds if row.field == "seconds" else VALUE_TYPES.get(row.kind, str)}
        details |= {"metavar": flag.metavar}
    if row.kind is Kind.PATHS:
        details |= {"action": "append"}
    parser.add_argument(*(flag.options or (f"--{row.name}",)), **details)


def run(options: argparse.Namespace) -> None:
    """Make clips without a daemon. Raises BadSettings, and what `generate_clips` raises."""
    # The model is a setting, too; its flag is that of the settings.
    rows = [row for row in ATTRIBUTES if row.flag or row.field == "model"]
    values = {row.field: getattr(options, row.field) for row in rows}
    given = {name: value for name, value in values.items() if value is not None}
    if given.get("seed") == ANY_SEED:
        given["seed"] = None
    if options.images:
        # Without `..`, but called as it was named: a link's name is the clip's.
        given["images"] = tuple(str(image.parent.resolve() / image.name) for image in options.images)
    settings = settings_of_daemon(options)
    like = _find_clip(settings, options.like) if options.like else None
    generate_clips(settings, options.prompt, like, given)


def generate_clips(settings: Settings, words: Sequence[str], like: Path | None, given: Mapping[str, Any]) -> None:
    """Make clips here and now and print a line for each: the daemon's generator and engine, without its sockets.

    `words` are the prompt and perhaps its length, `given` holds fields of Generate; with `like` both change the
    request that a file was made by. Raises BadArgument, and what planning and the engine raise.
    """
    from plugin_server.server import open_generator
    from plugin_server.studio.planning import check

    with open_generator(settings) as (generator, engine):
        model = str(given.get("model", ""))
        given = {**_words_as_fields(words, given, lambda: generator.card(model).lengths), **given}
        request, checksum = _build_request(like, given)
        card = generator.card(request.model)
        check(request, card)
        if checksum and engine.load(card.name).checksum != checksum:
            print(f"note: {like} was made by another version of {card.name}; this clip will differ")
        with ProgressBar() as bar:
            generator.run(request, bar.show, lambda clip: _print_clip(bar, clip))


def _find_clip(settings: Settings, name: str) -> Path:
    """Return the file of a clip that is named by its own file, or as the library knows it. Raises UnknownClip."""
    from plugin_server.audio.formats.files import SUFFIXES
    from plugin_server.server import build_library

    named = Path(clip_named(name))
    if named.is_file():
        return named
    with closing(build_library(settings)) as library:
        # No daemon may have looked for a while.
        library.scan()
        try:
            return library.find_file(name).path
        except UnknownClip:
            # What is called as a file gets the reason why it cannot be read.
            if named.suffix.lower() in SUFFIXES:
                return named
            raise


def _print_clip(bar: ProgressBar, clip: ClipMade) -> None:
    bar.end()
    match = f", confidence {clip.confidence:.2f}, nearest: {clip.nearest}" if clip.nearest else ""
    before = "" if clip.is_new else ", made before; --again makes it anew"
    print(f"{clip.path}  ({clip.seconds:g} s, seed {clip.seed}{match}{before})", flush=True)
    if clip.take == 1 and clip.n_heard < clip.n_words:
        print(f"note: the model heard {clip.n_heard} of {clip.n_words} words", flush=True)


def read_words(words: Sequence[str], lengths: Callable[[], Lengths]) -> tuple[str, float | None]:
    """Return the prompt and the length in seconds, or None, of words as a shell gives them.

    They are read as `/generate` reads its arguments.
    """
    prompt, seconds = split_length(words, _last_number(words), lengths)
    return " ".join(prompt), seconds


def _last_number(words: Sequence[str]) -> float | None:
    return read_seconds(words[-1]) if words else None


def _words_as_fields(words: Sequence[str], given: Mapping[str, Any], lengths: Callable[[], Lengths]) -> dict[str, Any]:
    """Return the prompt and the length, where the words give them, as fields of Generate. Raises BadArgument."""
    prompt, seconds = words, None
    for row in ATTRIBUTES:
        if not row.is_positional and f"@{row.name}" in " ".join(words).split():
            flag = row.flag.options[0] if row.flag and row.flag.options else f"--{row.name}"
            raise BadArgument(f"prompt: got @{row.name} in it, which is for OSC; expected the flag {flag}")
    if "seconds" not in given:
        prompt, seconds = split_length(words, _last_number(words), lengths, has_images="images" in given)
    fields: dict[str, Any] = {"prompt": " ".join(prompt)} if prompt else {}
    return fields if seconds is None else fields | {"seconds": seconds}


def _build_request(like: Path | None, given: Mapping[str, Any]) -> tuple[Generate, str]:
    """Return the request, and the checksum of the bundle that made the clip in `like`, or an empty text."""
    from plugin_server.studio.reuse import change_request, request_like

    if like is not None:
        request, checksum = request_like(like, given.get("images", ()))
        return change_request(request, given, DEFAULT_BPM), checksum
    if "prompt" not in given and "images" not in given:
        raise BadArgument('prompt: got nothing, expected words or --image, as in clipsonic generate "sea waves"')
    bpm = {"bpm": DEFAULT_BPM} if "bars" in given else {}
    return Generate(**{**bpm, **given}), ""
