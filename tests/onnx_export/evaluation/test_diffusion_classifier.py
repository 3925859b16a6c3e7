"""The diffusion classifier, by a denoiser that knows the spectra of its labels and by one that mixes them up."""

from types import SimpleNamespace

import numpy as np
import pytest

from onnx_export.evaluation.diffusion_classifier import ClassifierAccuracy, ClassifierTest, classify
from onnx_export.evaluation.distances import ConfidenceInterval
from tests.support.toys import MEL

LABELS = ["hammering", "hum", "rain"]


def fake_card(inputs=("noised", "embedding")) -> SimpleNamespace:
    zeros, ones = (np.full(MEL.n_mels, number) for number in (0, 1))
    graphs = {"denoiser": SimpleNamespace(inputs=[SimpleNamespace(name=name) for name in inputs])}
    return SimpleNamespace(mel=MEL, mel_mean=zeros, mel_std=ones, frame_multiple=4, graphs=graphs)


class SpectrumModel:
    """A denoiser that answers each label with that label's mean spectrum."""

    def __init__(self, cache, inputs=("noised", "embedding")):
        self.card, self.feeds = fake_card(inputs), None
        indices = {label: [i for i, s in enumerate(cache.sounds) if s.label == label] for label in LABELS}
        spectra = [np.concatenate([cache.mel(i) for i in indices[label]]).mean(axis=0) for label in LABELS]
        self.spectra = np.stack(spectra)
        self.denoiser = self

    def embed_text(self, label, cancellation):
        return np.eye(len(LABELS), dtype=np.float32)[[LABELS.index(label)]]

    def run(self, feeds, cancellation):
        self.feeds = feeds
        return [np.broadcast_to((feeds["embedding"] @ self.spectra)[:, :, None], feeds["noised"].shape)]


def test_a_denoiser_that_knows_its_labels_is_told_from_one_that_mixes_them_up(cache):
    model, test = SpectrumModel(cache), ClassifierTest("train", 0.5, 20, seconds=0.5)
    accuracy = classify(model, cache, LABELS, test)
    assert accuracy.top_1.mean > 0.9 and accuracy.top_1.n == 20 and accuracy.top_5.mean == 1
    model.spectra = model.spectra[[1, 2, 0]]
    assert classify(model, cache, LABELS, test).top_1.mean < 0.1


def test_clips_are_drawn_from_one_split(cache):
    n_valid = len(cache.indices("valid"))
    accuracy = classify(SpectrumModel(cache), cache, LABELS, ClassifierTest("valid", 0.5, 1000, seconds=0.5))
    assert accuracy.split == "valid" and accuracy.top_1.n == n_valid


def test_a_split_without_clips_so_long_is_refused(cache):
    with pytest.raises(ValueError, match="split: train has no clip of 9 s of the known labels"):
        classify(SpectrumModel(cache), cache, LABELS, ClassifierTest("train", 0.5, 20, seconds=9))


def test_the_denoiser_gets_the_inputs_that_its_graph_has(cache):
    names = ("noised", "sigma", "embedding", "seconds", "guidance")
    model = SpectrumModel(cache, names)
    classify(model, cache, LABELS, ClassifierTest("train", 0.7, 1, seconds=0.5))
    assert tuple(model.feeds) == names
    # Half a second, rounded down to a multiple of four frames.
    frames = MEL.n_frames(MEL.sample_rate // 2) // 4 * 4
    assert model.feeds["noised"].shape == (3, MEL.n_mels, frames)
    assert model.feeds["sigma"] == pytest.approx([0.7] * 3) and model.feeds["guidance"].tolist() == [1.0] * 3
    assert model.feeds["seconds"] == pytest.approx([frames * MEL.hop / MEL.sample_rate] * 3)
    # One noised clip under all labels.
    np.testing.assert_array_equal(model.feeds["noised"][0], model.feeds["noised"][2])


def test_an_accuracy_is_one_line():
    value = ConfidenceInterval(0.5, 0.25, 0.75, 8)
    text = "train, noise 0.9: top-1 0.50 (0.25 to 0.75), top-5 0.50 (0.25 to 0.75), 8 clips"
    assert str(ClassifierAccuracy("train", 0.9, value, value)) == text
