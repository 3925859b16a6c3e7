"""`python -m onnx_export`: train, export and evaluate, one parser for all."""

import argparse
import logging
import sys
from collections.abc import Sequence

from onnx_export.commands import (
    compare,
    conditions,
    draw,
    estimate,
    evaluate,
    export,
    features,
    import_,
    probe,
    resume,
    train,
)
from plugin_server.errors import ClipsonicError

COMMANDS = (train, conditions, features, estimate, resume, export, import_, evaluate, compare, probe, draw)
"""The commands in the order of the help text."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return 0 when it worked, 1 with a sentence on standard error when it did not."""
    options = build_parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    # The exporter tells every node it folds.
    logging.getLogger("onnxscript").setLevel(logging.WARNING)
    logging.getLogger("onnx_ir").setLevel(logging.WARNING)
    try:
        options.run(options)
    except (ClipsonicError, ValueError, OSError) as error:
        print(f"onnx_export: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        if (error.name or "").startswith(("onnx_export", "plugin_server")):
            raise
        print(f'onnx_export: needs {error.name}: pip install "clipsonic-live[train]"', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; each puts its function `run(options)` into the options."""
    parser = argparse.ArgumentParser(prog="python -m onnx_export", description="Train, export and evaluate models.")
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(subparsers)
    return parser
