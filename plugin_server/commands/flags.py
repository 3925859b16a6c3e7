"""Flags of the command line that say what a clip is made of, and where, by what and how."""

import argparse
from pathlib import Path

from plugin_server.settings import Settings, load_settings


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Flags that set Settings; None leaves the file, the environment or the default in force."""
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="DIR",
        help="sample folder (default: Live's User Library or your music folder)",
    )
    parser.add_argument("--model", metavar="NAME", help="bundle that makes the sound (see: clipsonic models)")
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda", "coreml"), help="what runs the model (default: auto)"
    )
    parser.add_argument(
        "--rate",
        dest="sample_rate",
        type=int,
        choices=(44100, 48000),
        help="sample rate of clips (default: 48000)",
    )


def settings_of(options: argparse.Namespace) -> Settings:
    """The settings with what flags say of them. Raises BadSettings."""
    names = (
        "osc_port",
        "http_port",
        "lan",
        "allow",
        "advertise",
        "folder",
        "model",
        "bank",
        "midi",
        "device",
        "sample_rate",
    )
    return load_settings({name: getattr(options, name, None) for name in names})


def add_generate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command `generate`."""
    parser = commands.add_parser("generate", help="make clips without a daemon")
    parser.add_argument(
        "prompt", nargs="*", help='words for the sound, and perhaps its length, as in "sea waves" 5; kick 808 are words'
    )
    parser.add_argument(
        "--image",
        dest="images",
        action="append",
        type=Path,
        metavar="FILE",
        help="a picture or video for the sound, with words or without; may be repeated",
    )
    parser.add_argument("--blend", type=float, help="0 to 1, from the words alone to the images alone (default: 0.5)")
    parser.add_argument("--frames", type=int, help="frames of each video, spread over its length (default: the first)")
    parser.add_argument(
        "--via", choices=("text", "zs", "pd", "sd"), help="way of the words, of a model that has several"
    )
    parser.add_argument("--seconds", type=float, help="length of the clip (default: the model's, 5)")
    parser.add_argument("--bars", type=float, help="length in bars of four beats, as a loop without a seam")
    parser.add_argument("--bpm", type=float, help="beats a minute of --bars, and told in the file (default: 120)")
    parser.add_argument("--key", help='told in the file, as "F# minor"')
    parser.add_argument("--format", choices=("wav", "flac", "aiff"), help="of the file (default: wav)")
    parser.add_argument("--seed", type=int, help="a number that makes the same sound again")
    parser.add_argument(
        "--takes",
        "--variations",
        dest="variations",
        type=int,
        default=1,
        help="how many clips, from seed, seed + 1, ... (default: 1)",
    )
    parser.add_argument("--steps", type=int, help="steps of the sampler: more is slower and finer")
    parser.add_argument("--guidance", type=float, help="how far the prompt is followed")
    parser.add_argument("--loop", action="store_const", const=True, help="a clip whose end flows into its start")
    parser.add_argument(
        "--stereo", type=float, metavar="WIDTH", help="two channels, 0 to 1 unlike each other (default: 0, one channel)"
    )
    parser.add_argument("--negative", help="what the sound should keep away from")
    parser.add_argument("--name", help="first part of the file name")
    parser.add_argument("--like", type=Path, metavar="FILE", help="make the clip in FILE again; other flags change it")
    add_settings(parser)
    parser.set_defaults(run=_generate)


def _generate(options: argparse.Namespace) -> None:
    from plugin_server.commands.generate import generate_clips

    names = (
        "blend",
        "frames",
        "via",
        "variations",
        "seconds",
        "bars",
        "bpm",
        "key",
        "format",
        "seed",
        "steps",
        "guidance",
        "loop",
        "stereo",
        "negative",
        "name",
        "model",
    )
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if options.images:
        # Without `..`, but called as it was named: a link's name is the clip's.
        given["images"] = tuple(str(image.parent.resolve() / image.name) for image in options.images)
    generate_clips(settings_of(options), options.prompt, options.like, given)
