"""The data of a training: the catalogue read once, and texts with the embeddings they should get."""

import csv

import numpy as np
import pytest
import soundfile

from onnx_export.clipsonic.training import datasets
from onnx_export.clipsonic.training.datasets import DataPaths, TextTargets, load_text_tower, text_conditioning
from plugin_server.audio.spectral import MelSettings

MEL = MelSettings(sample_rate=16_000, n_fft=512, hop=256, n_mels=8, f_max_hz=8000)
COLUMNS = (
    "file", "label", "caption", "category", "recording_id", "licence", "attribution", "source", "sample_rate_of_source",
)  # fmt: skip
LABELS = ("rain", "dog", "rain", "bell")


class Encoder:
    """A sentence encoder that knows one word a sentence; the others are all alike."""

    def __init__(self, folder):
        pass

    def encode_cached(self, texts, folder):
        words = ("rain", "dog", "bell")
        rows = [np.eye(4)[next((i for i, word in enumerate(words) if word in text), 3)] for text in texts]
        return np.array(rows, np.float32)


@pytest.fixture
def paths(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "SentenceEncoder", Encoder)
    rows = []
    for i, label in enumerate(LABELS):
        soundfile.write(tmp_path / f"{i}.wav", np.random.default_rng(i).uniform(-0.5, 0.5, 1600 * (i + 1)), 16_000)
        rows.append([f"{i}.wav", label, f"the {label}", "c", f"r{i}", "CC0", "me", "us", "16000"])
    with open(tmp_path / "catalog.csv", "w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    (tmp_path / "captions.txt").write_text("heavy rain on a roof\na small dog barks\nnothing of interest\n")
    (tmp_path / "labels.csv").write_text("church bell,1\n")
    return DataPaths(
        tmp_path, tmp_path / "runs", minilm=tmp_path, captions=tmp_path / "captions.txt",
        labels=tmp_path / "labels.csv", mel=MEL,
    )  # fmt: skip


def test_the_catalogue_is_read_once(paths, monkeypatch):
    calls = []
    read = datasets.read_catalog
    monkeypatch.setattr(datasets, "read_catalog", lambda *options: calls.append(options) or read(*options))
    text_conditioning(paths.sound_dataset(), paths)
    assert len(calls) == 1


def test_each_sound_is_conditioned_on_its_own_words(paths):
    dataset = paths.sound_dataset()
    conditioning = text_conditioning(dataset, paths)
    assert conditioning.dataset is dataset
    rng = np.random.default_rng(0)
    for i, label in enumerate(LABELS):
        assert dataset.sounds[i].label == label and len(dataset.wave(i)) == 1600 * (i + 1)
        assert int(conditioning.sample(i, rng).argmax()) == ("rain", "dog", "bell").index(label)


def test_a_catalogue_that_changes_between_two_readings_cannot_shift_the_labels(paths):
    """Of a dataset that was opened before, labels and sounds stay together."""
    dataset = paths.sound_dataset()
    lines = (paths.corpus / "catalog.csv").read_text().splitlines()
    (paths.corpus / "catalog.csv").write_text("\n".join([lines[0], *lines[2:]]) + "\n")
    conditioning = text_conditioning(dataset, paths)
    assert [int(conditioning.sample(i, np.random.default_rng(0)).argmax()) for i in range(4)] == [0, 1, 0, 2]


def test_captions_of_others_are_added_to_a_label(paths):
    targets = TextTargets(paths, paths.sounds())
    embeddings = targets.embed_wordings()
    n_own = {label: len(texts) for label, texts in targets.wordings.items()}
    assert {label: len(rows) - n_own[label] for label, rows in embeddings.items()} == {"rain": 1, "dog": 1, "bell": 0}
    for rows in embeddings.values():
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)


def test_texts_of_each_kind_have_their_share(paths):
    sets = TextTargets(paths, paths.sounds()).distillation_sets()
    assert [(len(part.texts) > 0, part.share) for part in sets] == [(True, 0.30), (True, 0.35), (True, 0.08)]
    assert all(part.vectors.shape == (len(part.texts), 4) for part in sets)
    assert list(sets[2].texts) == ["church bell"]


def test_what_is_not_named_is_asked_for(tmp_path):
    bare = DataPaths(None, tmp_path)
    with pytest.raises(ValueError, match="--corpus is needed"):
        bare.sounds()
    with pytest.raises(ValueError, match="--images is needed"):
        bare.pictures()
    with pytest.raises(ValueError, match="--minilm and --captions are needed"):
        TextTargets(bare, [])
    with pytest.raises(ValueError, match=r"text\.pt is not there: train text first"):
        load_text_tower(tmp_path / "text.pt")
