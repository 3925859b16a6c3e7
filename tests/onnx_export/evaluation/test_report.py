"""The report: its tables, what they leave out, and the keys of its JSON."""

import json

import pytest

from onnx_export.evaluation.distances import ConfidenceInterval
from onnx_export.evaluation.report import EvaluationReport
from onnx_export.evaluation.vocoders import Fidelity

HALF = ConfidenceInterval(0.5, 0.25, 0.75, 8)


def test_figures_that_are_missing_are_dashes():
    report = EvaluationReport("toy", 3, vocoders={"all": {"vocoder": Fidelity(0.2, 0.1, 0.9, None)}})
    report.clips["bands"] = {"white noise": {"top-1": ConfidenceInterval(0.5, 0.0, 1.0, 2)}}
    assert "| white noise | 0.50 (0.00 to 1.00) | – | – | – | – |" in report.table()
    assert "| all | 0.200 / 0.100 / 0.90 / – / 1.00 / 0.00 |" in report.table()


def test_an_empty_report_is_its_title():
    assert EvaluationReport("toy 1.0", 2).table() == "toy 1.0, 2 concepts; 95 % intervals in brackets.\n"


def test_a_table_is_markdown():
    report = EvaluationReport("toy", 1, text_tower={"top-1": HALF, "top-5": HALF})
    assert report.table().splitlines()[2:] == [
        "| text tower | top-1 | top-5 |",
        "|---|---|---|",
        "| paraphrases, nearest label of all | 0.50 (0.25 to 0.75) | 0.50 (0.25 to 0.75) |",
    ]


def test_columns_are_all_figures_that_any_row_has():
    report = EvaluationReport("toy", 1, image_tower={"one": {"top-1": HALF}, "two": {"top-5": HALF}})
    lines = report.table().splitlines()
    assert lines[2] == "| image tower | top-1 | top-5 |"
    assert lines[4] == "| one | 0.50 (0.25 to 0.75) | – |" and lines[5] == "| two | – | 0.50 (0.25 to 0.75) |"


def test_each_judge_has_tables_of_its_own():
    report = EvaluationReport("toy", 1)
    for judge in ("bands", "SoundNet"):
        report.clips[judge] = {"noise": {"top-1": HALF}}
        report.categories[judge] = {"animals": {"noise": HALF}}
        report.image_clips[judge] = {"made from held-out pictures": {"top-1": HALF}}
        report.diversity[judge] = {"made": HALF}
    table = report.table()
    for judge in ("bands", "SoundNet"):
        assert f"| heard by {judge} | top-1 | top-5 | FAD | text-audio | nearest |" in table
        assert f"| top-1 by {judge} | noise |" in table
        assert f"| of pictures, heard by {judge} | top-1 |" in table
        assert f"| {judge} | 0.50 (0.25 to 0.75) |" in table
    assert table.count("| difference between takes | made |") == 1


def test_vocoders_stand_side_by_side():
    errors = {"vocoder": Fidelity(0.1234, 0.2, 0.3, 12.34, 0.567, 0.891), "HiFi-GAN universal": Fidelity(1, 2, 3, None)}
    lines = EvaluationReport("toy", 1, vocoders={"animals": errors}).table().splitlines()
    columns = "log-mel L1 / up to 11 kHz / STFT loss / cents / grain / modulation"
    assert lines[2] == f"| {columns} | vocoder | HiFi-GAN universal |"
    assert (
        lines[4] == "| animals | 0.123 / 0.200 / 0.30 / 12.3 / 0.57 / 0.89 | 1.000 / 2.000 / 3.00 / – / 1.00 / 0.00 |"
    )


@pytest.mark.parametrize(
    ("field", "key"),
    [
        ("bundle", "bundle"),
        ("n_labels", "n_concepts"),
        ("text_tower", "tower"),
        ("image_tower", "pictures"),
        ("image_clips", "shown"),
        ("clips", "heard"),
        ("diversity", "diversity"),
        ("categories", "categories"),
        ("vocoders", "vocoder"),
    ],
)
def test_keys_of_the_json_file_stay(field, key):
    report = EvaluationReport("toy", 1)
    assert key in json.loads(report.to_json()) and hasattr(report, field)


def test_a_value_in_json_has_its_interval():
    report = EvaluationReport("toy", 7, text_tower={"top-1": HALF})
    saved = json.loads(report.to_json())
    assert list(saved) == [
        "bundle",
        "n_concepts",
        "tower",
        "pictures",
        "shown",
        "heard",
        "diversity",
        "textures",
        "categories",
        "vocoder",
    ]
    assert saved["tower"] == {"top-1": {"mean": 0.5, "low": 0.25, "high": 0.75, "n": 8}}
    assert saved["n_concepts"] == 7
