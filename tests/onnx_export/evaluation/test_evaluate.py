"""The evaluation of a toy model on a toy corpus, and the figures of sets that are known."""

import json
from dataclasses import replace

import numpy as np
import pytest

from onnx_export.clipsonic.training.datasets import DataPaths
from onnx_export.data.sounds import split_of
from onnx_export.evaluation.clip_sets import corpus_clips, read_paraphrases, same_label_clips, white_noise_for
from onnx_export.evaluation.evaluate import (
    GENERATED,
    MAX_GROUP,
    REAL,
    ReferenceWeights,
    build_clip_sets,
    clip_metrics,
    evaluate_bundle,
    feature_extractors,
    score_clips,
    sentence_embedder,
    text_tower_accuracy,
)
from onnx_export.evaluation.report import EvaluationReport
from plugin_server.errors import BundleDamaged
from tests.support.corpus import EVALUATED_LABELS, embed_labels
from tests.support.toys import MEL

RATE = MEL.sample_rate
TONE = np.sin(2 * np.pi * 3000 * np.arange(RATE) / RATE).astype(np.float32)
LABELS, embed = EVALUATED_LABELS, embed_labels


@pytest.fixture(scope="module")
def real(cache):
    return corpus_clips(cache, cache.indices("test"))


def metrics_of(judge, clips):
    return clip_metrics(judge, clips, {name: judge.clip_features(part) for name, part in clips.items()})


def test_the_text_tower_is_judged_by_the_rank_of_the_right_label():
    class Model:
        """Puts every paraphrase on its own label, but for one."""

        def embed_text(self, text, cancellation):
            label = (dict(read_paraphrases()) | {"puppy barking": "rain"}).get(text, text)
            vector = np.random.default_rng(list(label.encode())).standard_normal(64)
            return (vector / np.linalg.norm(vector))[None]

    labels = sorted({label for _, label in read_paraphrases()})
    accuracy = text_tower_accuracy(Model(), labels)
    share = accuracy["top-1"]
    assert round(share.mean * share.n) == share.n - 1
    assert accuracy["top-5"].mean >= share.mean
    assert text_tower_accuracy(Model(), ["no such label"]) == {}


def test_recordings_are_judged_better_than_noise_and_wrong_labels(judge, real):
    wrong = [replace(clip, label=LABELS[(LABELS.index(clip.label) + 1) % 3]) for clip in real]
    tones = [clip.with_wave(TONE) for clip in real]
    metrics = metrics_of(judge, {REAL: real, "noise": white_noise_for(real, RATE), "wrong": wrong, "tones": tones})
    assert metrics[REAL]["top-1"].mean > 0.8 > 0.2 > metrics["wrong"]["top-1"].mean
    assert metrics["noise"]["FAD"].mean > 1
    assert metrics[REAL]["nearest"].mean == pytest.approx(1)
    assert metrics["tones"]["nearest"].mean > 2
    assert metrics[REAL]["text-audio"].mean > metrics["noise"]["text-audio"].mean


def test_each_set_has_the_figures_that_mean_something_for_it(cache, judge, real):
    sets = {REAL: real, "copies": same_label_clips(cache, real), "few": white_noise_for(real[:3], RATE)}
    metrics = metrics_of(judge, sets)
    assert list(metrics[REAL]) == ["top-1", "top-5", "text-audio", "nearest"]
    # Copies of training recordings are near by construction.
    assert list(metrics["copies"]) == ["top-1", "top-5", "FAD", "text-audio"]
    # Sets of other sounds and lengths have no Fréchet distance.
    assert list(metrics["few"]) == ["top-1", "top-5", "text-audio", "nearest"]
    assert metrics["few"]["top-1"].n == 3


def test_without_sentences_sounds_are_not_compared_with_texts(judge, real):
    assert list(metrics_of(replace(judge, captions=None), {REAL: real})[REAL]) == ["top-1", "top-5", "nearest"]


def test_accuracy_is_reported_by_category(judge, real):
    report = EvaluationReport()
    score_clips(judge, report, {REAL: real}, {"recordings": [real[:2], real[2:4]]})
    assert list(report.categories["bands"]) == ["clicks", "hiss", "hum"]
    by_category = {category: row[REAL] for category, row in report.categories["bands"].items()}
    assert sum(value.n for value in by_category.values()) == len(real)
    mean = sum(value.mean * value.n for value in by_category.values()) / len(real)
    assert mean == pytest.approx(report.clips["bands"][REAL]["top-1"].mean)
    assert report.diversity["bands"]["recordings"].mean == pytest.approx(1)


def test_sets_and_groups_stand_for_the_same_labels(toy_model, cache):
    clips, groups = build_clip_sets(toy_model, cache, LABELS, embed, 2)
    labels = [clip.label for clip in clips[REAL]]
    for name in ("training recordings of the same sounds", "real through the vocoder", GENERATED, "found by caption"):
        assert [clip.label for clip in clips[name]] == labels, name
    assert next(iter(clips)) == REAL and list(clips)[-1] == "white noise"
    assert [clip.label for clip in clips["made from labels"]] == [label for label in LABELS for _ in range(2)]
    assert [len(group) for group in groups["made"]] == [2, 2, 2] == [len(group) for group in groups["found"]]
    for group in groups["recordings of one sound"]:
        recordings = [clip.recording_id for clip in group]
        assert len(set(recordings)) == len(recordings) == MAX_GROUP
    assert {split_of(clip.recording_id) for group in groups["found"] for clip in group} == {"train"}


def test_without_sentences_nothing_is_searched(toy_model, cache):
    clips, groups = build_clip_sets(toy_model, cache, LABELS, None, 1)
    assert "found by caption" not in clips and "found" not in groups


def test_judges_are_those_whose_weights_there_are(toy_model, tmp_path):
    assert [features.name for features in feature_extractors(toy_model, ReferenceWeights())] == ["bands"]
    (tmp_path / "sound8.npy").write_bytes(b"other")
    with pytest.raises(ValueError, match="sha256 is"):
        feature_extractors(toy_model, ReferenceWeights(soundnet=tmp_path / "sound8.npy"))


def test_there_are_no_sentences_without_their_encoder(corpus, tmp_path):
    assert sentence_embedder(DataPaths(corpus, tmp_path / "runs", mel=MEL)) is None


def test_a_damaged_bundle_is_not_evaluated(toy, corpus, tmp_path):
    import shutil

    folder = tmp_path / "damaged"
    shutil.copytree(toy, folder)
    (folder / "vocoder.onnx").write_bytes(b"")
    with pytest.raises(BundleDamaged):
        evaluate_bundle(folder, DataPaths(corpus, tmp_path / "runs", mel=MEL), ReferenceWeights(), 1, None)


def test_a_toy_is_evaluated_from_corpus_to_contact_sheet(toy, corpus, tmp_path):
    """The whole run, its table, its JSON, its sheet with sounds."""
    sources = DataPaths(corpus, tmp_path / "runs", mel=MEL)
    report = evaluate_bundle(toy, sources, ReferenceWeights(), n_takes=2, sheet=tmp_path / "sheet.png")
    metrics = report.clips["bands"]
    assert metrics[REAL]["top-1"].mean > 0.8 > metrics["white noise"]["top-1"].mean
    assert metrics["training recordings of the same sounds"]["FAD"].mean < metrics[GENERATED]["FAD"].mean
    assert report.diversity["bands"]["recordings of one sound"].mean == pytest.approx(1)
    assert "made from paraphrases" in metrics
    table = report.table()
    assert table.startswith("toy 0.0.1, 3 concepts; 95 % intervals in brackets.")
    assert "| white noise |" in table and "| Griffin-Lim, 32 rounds |" in table
    assert json.loads(report.to_json())["n_concepts"] == 3
    assert len(list((tmp_path / "sheet").glob("*.wav"))) == 2 * 3
    assert (tmp_path / "sheet.png").stat().st_size > 1000
