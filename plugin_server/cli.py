"""The command `clipsonic`: parses, calls one function, prints. What each command needs is imported when it runs, so
that `--help` answers at once."""

import argparse
import asyncio
import io
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from plugin_server import __version__
from plugin_server.commands.flags import add_generate, add_settings, settings_of
from plugin_server.errors import BadSettings, ClipsonicError
from plugin_server.settings import bundle_folders


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 when it worked, 1 with one sentence on standard error when it did not."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Windows' consoles cannot show every prompt or path; that must not cost the command.
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    level = logging.DEBUG if options.verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")
    try:
        options.run(options)
    except ClipsonicError as error:
        print(f"clipsonic: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output went away, as `| head` does; nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="clipsonic", description="Words into sound, for people who make music.")
    parser.add_argument("--version", action="version", version=f"clipsonic-live {__version__}")
    parser.add_argument("-v", "--verbose", action="store_true", help="say more on standard error")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for add in (_add_serve, add_generate, _add_clips, _add_banks, _add_demo, _add_models, _add_doctor):
        add(commands)
    return parser


def _add_serve(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("serve", help="run the daemon until Ctrl-C")
    parser.add_argument(
        "--osc-port", type=int, metavar="PORT", help="UDP and TCP port for OSC (default: 9460; 0: a free one)"
    )
    parser.add_argument(
        "--http-port", type=int, metavar="PORT", help="TCP port for OSCQuery (default: 9461; 0: a free one)"
    )
    parser.add_argument("--bank", metavar="NAME", help="prompt bank under the pads (see: clipsonic banks)")
    parser.add_argument(
        "--midi",
        nargs="?",
        const="virtual",
        metavar="NAME",
        help="MIDI input whose notes fire slots (without a name: a port of our own, for other programs to send to)",
    )
    parser.add_argument(
        "--lan", action="store_const", const=True, help="listen on the local network too, for the hosts of --allow"
    )
    parser.add_argument(
        "--allow", metavar="HOST[,HOST...]", help="with --lan: addresses or networks (192.168.1.0/24) that are answered"
    )
    parser.add_argument(
        "--no-advertise",
        dest="advertise",
        action="store_const",
        const=False,
        help="do not tell zeroconf browsers where the daemon is",
    )
    add_settings(parser)
    parser.set_defaults(run=_serve)


def _serve(options: argparse.Namespace) -> None:
    from plugin_server.server import serve

    settings = settings_of(options)
    if options.allow and not settings.lan:
        raise BadSettings(f"allow: got {options.allow} without --lan, expected both, or none for this machine alone")
    # A service manager's wish to stop is Ctrl-C's: waiting clients are told, and nothing is left half done.
    signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))
    # Windows' own kind of loop goes deaf on UDP once a reply went to a port that was closed meanwhile.
    factory = asyncio.SelectorEventLoop if sys.platform == "win32" else None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serve(settings, lambda line: print(line, flush=True)))


def _add_clips(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("clips", help="list, search and mark the clips that were made")
    folder = argparse.ArgumentParser(add_help=False)
    # Without a default, so that the flag means the same before and after the action.
    folder.add_argument("--folder", type=Path, metavar="DIR", default=argparse.SUPPRESS, help="sample folder")
    count = argparse.ArgumentParser(add_help=False, parents=[folder])
    count.add_argument(
        "-n", "--count", type=int, default=argparse.SUPPRESS, metavar="N", help="how many at most (default: 20)"
    )
    parser.add_argument("--folder", type=Path, metavar="DIR", help="sample folder")
    parser.add_argument("-n", "--count", type=int, default=20, metavar="N", help="how many at most (default: 20)")
    parser.set_defaults(run=_clips, action="list", words=[])
    actions = parser.add_subparsers(title="instead of listing the newest", metavar="ACTION")
    search = actions.add_parser("search", parents=[count], help="those with these words in prompt, tags or name")
    search.add_argument("words", nargs="+", metavar="WORD", help="its beginning is enough; starred is a word too")
    search.set_defaults(action="search")
    for name, text in _CLIP_ACTIONS.items():
        action = actions.add_parser(name, parents=[folder], help=text)
        action.add_argument("clip", metavar="CLIP", help="its id, its file's name or path, or last")
        action.set_defaults(action=name)
        if name == "tag":
            action.add_argument("words", nargs="+", metavar="WORD", help="words to add")
            action.add_argument("--remove", action="store_true", help="take the words away instead")
    for name, text in {"undo": "one step back", "redo": "what was undone last, again"}.items():
        actions.add_parser(name, parents=[folder], help=text).set_defaults(action=name)


_CLIP_ACTIONS = {
    "info": "all that is known of one",
    "open": "play or edit it with the system's program for it",
    "reveal": "show its file in the Finder, Explorer or file manager",
    "star": "give it a star",
    "unstar": "take its star away",
    "tag": "add words to it",
    "delete": "put its file into the system's trash",
}


def _clips(options: argparse.Namespace) -> None:
    from plugin_server.commands.clips import run_clips

    words = [f"-{word}" for word in options.words] if getattr(options, "remove", False) else options.words
    run_clips(settings_of(options), options.action, getattr(options, "clip", ""), words, options.count)


def _add_banks(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("banks", help="list, show, check, render or export prompt banks")
    parser.set_defaults(run=_list_banks)
    actions = parser.add_subparsers(title="instead of listing them", metavar="ACTION")
    show = actions.add_parser("show", help="the slots of one, and which have their clip")
    check = actions.add_parser("check", help="read all, or some, and say what is wrong with them")
    check.add_argument("names", nargs="*", metavar="NAME_OR_FILE", help="banks, or .toml files of your own")
    render = actions.add_parser("render", help="make the clips that one lacks")
    export = actions.add_parser("export", help="make an instrument of one: named files, SFZ and Decent Sampler")
    for action, run in {show: _show_bank, check: _check_banks, render: _render_bank, export: _export_bank}.items():
        if action is not check:
            action.add_argument("name", metavar="NAME", help="as clipsonic banks lists it")
        add_settings(action)
        action.set_defaults(run=run)
    export.add_argument("--to", type=Path, metavar="DIR", help="folder to be made (default: the bank's name, here)")


def _list_banks(options: argparse.Namespace) -> None:
    from plugin_server.commands.banks import list_banks

    list_banks(settings_of(options))


def _show_bank(options: argparse.Namespace) -> None:
    from plugin_server.commands.banks import show_bank

    show_bank(settings_of(options), options.name)


def _check_banks(options: argparse.Namespace) -> None:
    from plugin_server.commands.banks import check_banks

    check_banks(settings_of(options), options.names)


def _render_bank(options: argparse.Namespace) -> None:
    from plugin_server.commands.banks import render_bank

    render_bank(settings_of(options), options.name)


def _export_bank(options: argparse.Namespace) -> None:
    from plugin_server.commands.banks import export

    export(settings_of(options), options.name, options.to)


def _add_demo(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("demo", help="start a daemon, send it one prompt over OSC, show the clip")
    parser.add_argument("prompt", nargs="*", help="words for the sound (default: sea waves)")
    parser.add_argument("--seconds", type=float, help="length of the clip")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="sample folder")
    parser.set_defaults(run=_demo)


def _demo(options: argparse.Namespace) -> None:
    from plugin_server.commands.demo import run_demo
    from plugin_server.commands.generate import read_words
    from plugin_server.engine.bundles.registry import BundleRegistry

    model = settings_of(options).model
    prompt, seconds = " ".join(options.prompt) or "sea waves", options.seconds
    if options.prompt and seconds is None:
        prompt, seconds = read_words(options.prompt, lambda: BundleRegistry(bundle_folders()).find(model).card.lengths)
    run_demo(prompt, seconds, options.folder)


def _add_models(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("models", help="list, install, make or remove bundles")
    parser.add_argument("--verify", action="store_true", help="compare every file with its checksum")
    parser.set_defaults(run=_models)
    actions = parser.add_subparsers(title="instead of listing them", metavar="ACTION")
    install = actions.add_parser("install", help="copy a bundle to your own")
    install.add_argument("source", type=Path, metavar="FOLDER_OR_ZIP", help="where its card.json and graphs are")
    install.set_defaults(run=_install)
    _add_import(actions)
    remove = actions.add_parser("remove", help="delete a bundle of your own")
    remove.add_argument("name", metavar="NAME", help="as clipsonic models lists it")
    remove.set_defaults(run=_remove)


def _add_import(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = actions.add_parser("import", help="make a bundle out of another one and official weights")
    parser.add_argument("name", metavar="NAME", help="of the new bundle")
    for flag, (metavar, text) in _IMPORTED.items():
        parser.add_argument(f"--{flag}", metavar=metavar, help=text)
    parser.add_argument("--single", action="store_true", help="weights in single precision (default: half)")
    parser.set_defaults(run=_import)


_IMPORTED = {
    "base": ("BUNDLE", "what the rest is taken from (default: clipsonic-mini)"),
    "towers": ("MODEL:WEIGHTS", "CLIP's: one of open_clip's models, and a tag or a file, as ViT-L-14:openai"),
    "prior": ("FOLDER", "an unCLIP prior in diffusers' layout, as karlo's"),
    "vocoder": ("FOLDER_OR_FILE", "BigVGAN's config.json and weights"),
    "denoiser": ("CHECKPOINT", "of python -m onnx_export train denoiser"),
    "out": ("DIR", "folder that gets it (default: that of your bundles)"),
}


def _import(options: argparse.Namespace) -> None:
    from plugin_server.commands.models import import_model

    given = {flag: getattr(options, flag) for flag in _IMPORTED if getattr(options, flag) is not None}
    import_model(options.name, given, options.single)


def _models(options: argparse.Namespace) -> None:
    from plugin_server.commands.generate import print_models

    print_models(bundle_folders(), verify=options.verify)


def _install(options: argparse.Namespace) -> None:
    from plugin_server.engine.bundles.install import install_bundle

    bundle = install_bundle(options.source.expanduser(), bundle_folders()[0])
    print(f"installed {bundle.card.name} {bundle.card.version}: {bundle.folder}")


def _remove(options: argparse.Namespace) -> None:
    from plugin_server.engine.bundles.install import remove_bundle

    own, *shipped = bundle_folders()
    remove_bundle(options.name, own, shipped)
    print(f"removed {options.name}")


def _add_doctor(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("doctor", help="report what is installed and how fast it is here")
    add_settings(parser)
    parser.set_defaults(run=_doctor)


def _doctor(options: argparse.Namespace) -> None:
    from plugin_server.commands.doctor import print_report

    print_report(settings_of(options))
