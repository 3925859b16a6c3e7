"""Commands as a person types them: what they pass on, print and refuse."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from onnx_export import cli
from onnx_export.cli import COMMANDS, build_parser, main
from plugin_server.errors import BadArgument
from plugin_server.settings import bundle_folders
from tests.support.corpus import write_corpus
from tests.support.toys import MEL, write_toy


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return write_toy(tmp_path_factory.mktemp("bundles"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"), 30, MEL.sample_rate)


def parse(*words):
    return build_parser().parse_args(words)


def test_each_command_runs_its_own_module():
    options = {
        "train": ["text"],
        "conditions": ["c.npz"],
        "features": ["--videos", "v", "--config", "c"],
        "estimate": ["--config", "c"],
        "resume": ["b"],
        "export": ["clipsonic-mini"],
        "import": ["new"],
        "evaluate": ["b"],
        "compare": ["b"],
        "probe": ["b"],
        "draw": ["b", "p.png", "rain"],
    }
    assert [parse(name, *words).run for name, words in options.items()] == [command.run for command in COMMANDS]


def test_defaults_are_those_of_the_help_texts():
    assert parse("export", "clipsonic-iq").out is None
    evaluate = parse("evaluate", "b")
    assert (evaluate.takes, evaluate.sheet, evaluate.soundnet) == (3, None, None)
    probe = parse("probe", "b")
    assert (probe.clips, probe.sigma) == (40, [0.9])
    assert parse("draw", "b", "p.png", "rain").seed == 1
    resume = parse("resume", "b")
    assert (resume.runs, resume.at) == (Path("runs"), 0)
    importing = parse("import", "new")
    assert (importing.base, importing.single, importing.out) == ("clipsonic-mini", False, None)


@pytest.mark.parametrize("words", [[], ["sing"], ["export", "moon"], ["features", "--videos", "v"], ["draw", "b", "p"]])
def test_what_is_no_command_ends_with_its_usage(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2 and "usage: python -m onnx_export" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (ValueError("too small"), 1, "onnx_export: too small\n"),
        (BadArgument("name: got 'x'"), 1, "onnx_export: name: got 'x'\n"),
        (FileNotFoundError("gone"), 1, "onnx_export: gone\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_errors_become_a_sentence_and_a_status(monkeypatch, capsys, error, status, text):
    def add(subparsers):
        subparsers.add_parser("fail").set_defaults(run=fail)

    def fail(options):
        raise error

    monkeypatch.setattr(cli, "COMMANDS", [SimpleNamespace(add=add)])
    assert main(["fail"]) == status
    assert capsys.readouterr().err == text


def test_other_errors_are_not_hidden(monkeypatch):
    def add(subparsers):
        subparsers.add_parser("fail").set_defaults(run=lambda options: 1 / 0)

    monkeypatch.setattr(cli, "COMMANDS", [SimpleNamespace(add=add)])
    with pytest.raises(ZeroDivisionError):
        main(["fail"])


def test_import_passes_its_flags_on(monkeypatch, capsys):
    from onnx_export.official import assemble

    calls = []

    def import_bundle(options, home, folders):
        calls.append((options, home, folders))
        card = SimpleNamespace(graphs={"vocoder": SimpleNamespace(parity=0.5)})
        return SimpleNamespace(card=card, folder=Path("/bundles/new"))

    monkeypatch.setattr(assemble, "import_bundle", import_bundle)
    assert main(["import", "new", "--vocoder", "v", "--towers", "a:b", "--single", "--out", "o"]) == 0
    assert main(["import", "new", "--base", "other"]) == 0
    first, second = calls
    assert first == (
        assemble.ImportOptions("new", "clipsonic-mini", "a:b", None, Path("v"), None, fp16=False),
        Path("o"),
        bundle_folders(),
    )
    assert second[0] == assemble.ImportOptions("new", "other") and second[1] == bundle_folders()[0]
    assert capsys.readouterr().out.splitlines()[1] == "bundle: /bundles/new"


def test_probe_prints_a_line_for_each_split_and_noise_level(monkeypatch, capsys, toy, corpus, tmp_path):
    from onnx_export.evaluation import diffusion_classifier

    tests = []
    monkeypatch.setattr(
        diffusion_classifier, "classify", lambda _model, _cache, _labels, test: tests.append(test) or "figures"
    )
    flags = ["--corpus", str(corpus), "--runs", str(tmp_path), "--sigma", "0.5", "0.9", "--clips", "7"]
    assert main(["probe", str(toy), *flags]) == 0
    assert [(t.split, t.sigma, t.n_clips) for t in tests] == [
        ("train", 0.5, 7),
        ("train", 0.9, 7),
        ("valid", 0.5, 7),
        ("valid", 0.9, 7),
    ]
    assert capsys.readouterr().out == "figures\n" * 4


def test_draw_takes_words_or_pictures(monkeypatch, toy, tmp_path):
    import numpy as np
    from PIL import Image

    from onnx_export.evaluation import clip_sets, figures

    calls = []

    def generate(model, prompt, seconds, seed, images=()):
        calls.append((prompt, seed, images))
        return np.zeros(100, np.float32)

    monkeypatch.setattr(clip_sets, "generate", generate)
    monkeypatch.setattr(figures, "draw_row", lambda clips, mel, path: calls.append(list(clips)))
    monkeypatch.setattr(figures, "draw_image_clips", lambda clips, mel, path: calls.append([c[1] for c in clips]))
    red = tmp_path / "red door.png"
    Image.new("RGB", (8, 6), "red").save(red)
    assert main(["draw", str(toy), str(tmp_path / "p.png"), "rain", "a dog", "--seed", "5"]) == 0
    assert calls == [("rain", 5, ()), ("a dog", 5, ()), ["rain", "a dog"]]
    calls.clear()
    assert main(["draw", str(toy), str(tmp_path / "p.png"), str(red)]) == 0
    assert calls == [("", 1, (str(red),)), ["red door"]]
    calls.clear()
    # A name of a file beside words is a prompt like the others.
    assert main(["draw", str(toy), str(tmp_path / "p.png"), str(red), "rain"]) == 0
    assert calls[-1] == [str(red), "rain"]


def test_a_prompt_becomes_a_picture(toy, tmp_path):
    assert main(["draw", str(toy), str(tmp_path / "p.png"), "rain"]) == 0
    assert (tmp_path / "p.png").stat().st_size > 1000


def test_estimate_prints_memory_and_time(tmp_path, capsys):
    from tests.onnx_export.profiling.conftest import CONFIG

    path = tmp_path / "tiny.toml"
    path.write_text(CONFIG)
    assert main(["estimate", "--config", str(path), "--tflops", "100"]) == 0
    table = capsys.readouterr().out
    for word in ("parameters", "activations", "memory in all", "on this cpu", "at 100 TFLOP/s"):
        assert word in table
    assert main(["estimate", "--config", str(path), "--tflops", "0"]) == 1
    assert "--tflops is 0, expected more than 0" in capsys.readouterr().err


def test_estimate_measures_no_device_that_is_not_there(monkeypatch, capsys):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["estimate", "--config", "x.toml", "--device", "cuda"]) == 1
    assert "--device is cuda, expected cpu: PyTorch finds no CUDA here" in capsys.readouterr().err


def test_resume_does_not_write_over_a_run(toy, tmp_path, capsys):
    (tmp_path / "text.pt").write_bytes(b"")
    assert main(["resume", str(toy), "--runs", str(tmp_path)]) == 1
    assert "is there: expected a folder without runs" in capsys.readouterr().err


def test_help_needs_no_torch(tmp_path):
    import subprocess

    code = "import sys, onnx_export.cli as c; c.build_parser(); print({'torch', 'onnx', 'numpy'} & set(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "set()"


def test_a_package_of_the_train_extra_that_is_missing_is_named(monkeypatch, capsys):
    def draw(options):
        raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib")

    monkeypatch.setattr("onnx_export.commands.draw.run", draw)
    assert main(["draw", "bundle", "out.png", "rain"]) == 1
    assert capsys.readouterr().err == 'onnx_export: needs matplotlib: pip install "clipsonic-live[train]"\n'
