"""Runs commands one after another in one process, as `python -m` does, so that what they import is imported once.

Reads a JSON list of [module, arguments, environment] from standard input and writes a JSON list of [exit status,
standard output, standard error]; `blocked` packages count as not installed.
"""

import json
import os
import runpy
import sys
import tempfile

BLOCKED = ("torch", "open_clip", "diffusers", "onnx", "onnxscript")


def run(module: str, arguments: list[str]) -> int:
    """Exit status of `python -m module arguments`, with what it leaves behind taken away."""
    argv, sys.argv = sys.argv, [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as error:
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    finally:
        sys.argv = argv
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def caught(module: str, arguments: list[str], environ: dict[str, str]) -> tuple[int, str, str]:
    """The same with what it wrote, by itself or through processes of its own."""
    before = dict(os.environ)
    os.environ.update(environ)
    kept = [os.dup(1), os.dup(2)]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        try:
            status = run(module, arguments)
        finally:
            for number, old in enumerate(kept, 1):
                os.dup2(old, number)
                os.close(old)
            os.environ.clear()
            os.environ.update(before)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    return status, *texts


if __name__ == "__main__":
    for package in BLOCKED:
        sys.modules[package] = None
    # Of the arguments of `python -m` one is the folder to begin in.
    os.chdir(sys.argv[1])
    results = [caught(*command) for command in json.load(sys.stdin)]
    json.dump(results, sys.stdout)
