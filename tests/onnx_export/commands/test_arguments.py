"""Arguments that several commands share."""

import argparse
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from onnx_export.commands.arguments import (
    DATA_ARGUMENTS,
    add_data_arguments,
    add_video_arguments,
    load_model,
    print_parity,
    print_report,
    read_data_paths,
)
from onnx_export.evaluation.distances import ConfidenceInterval
from onnx_export.evaluation.report import EvaluationReport
from plugin_server.errors import BundleDamaged
from tests.support.toys import write_toy


@pytest.fixture
def parser():
    return argparse.ArgumentParser(exit_on_error=False)


def test_data_that_is_not_named_is_none(parser):
    add_data_arguments(parser)
    paths = read_data_paths(parser.parse_args([]))
    assert (paths.runs, paths.licences, paths.corpus) == (Path("runs"), "all", None)
    assert all(getattr(paths, name) is None for name in DATA_ARGUMENTS)


def test_every_file_of_data_can_be_named(parser):
    add_data_arguments(parser)
    names = ("corpus", "runs", *DATA_ARGUMENTS)
    flags = [word for name in names for word in (f"--{name}", f"/data/{name}")]
    paths = read_data_paths(parser.parse_args([*flags, "--licences", "permissive"]))
    assert [getattr(paths, name) for name in names] == [Path(f"/data/{name}") for name in names]
    assert paths.licences == "permissive"


def test_data_that_is_needed_is_asked_for(parser):
    add_data_arguments(parser)
    with pytest.raises(ValueError, match="--images is needed for this"):
        read_data_paths(parser.parse_args([])).need("images")


def test_videos_may_be_listed_in_several_files(parser):
    add_video_arguments(parser, config_required=False)
    options = parser.parse_args(["--list", "a.csv", "b.json"])
    assert options.list == [Path("a.csv"), Path("b.json")]
    assert (options.config, options.workers) == (None, 1)


def test_a_configuration_may_be_required():
    parser = argparse.ArgumentParser()
    add_video_arguments(parser, config_required=True)
    with pytest.raises(SystemExit):
        parser.parse_args([])


def test_a_bundle_is_opened_from_its_folder(tmp_path):
    assert load_model(write_toy(tmp_path)).card.name == "toy"
    with pytest.raises(BundleDamaged):
        load_model(tmp_path / "none")


def test_parity_is_printed_graph_by_graph(capsys):
    print_parity({"denoiser": SimpleNamespace(parity=0.00123), "vocoder": SimpleNamespace(parity=None)})
    assert capsys.readouterr().out.splitlines() == [
        "denoiser     1.23e-03 largest relative difference from PyTorch",
        "vocoder      0.00e+00 largest relative difference from PyTorch",
    ]


def test_a_report_is_printed_and_written_where_it_is_asked_for(tmp_path, capsys):
    report = EvaluationReport("toy", 1, text_tower={"top-1": ConfidenceInterval(0.5, 0.4, 0.6, 3)})
    print_report(report, None)
    assert capsys.readouterr().out == report.table() + "\n"
    print_report(report, tmp_path / "figures.json")
    assert json.loads((tmp_path / "figures.json").read_text("utf-8"))["tower"]["top-1"]["n"] == 3
