"""The networks in PyTorch: shapes, twins of the server's arithmetic, export and training on almost nothing."""

import csv

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

import soundfile  # noqa: E402

from onnx_export.clipsonic.bundle import MINI, Networks, Sizes, write_bundle  # noqa: E402
from onnx_export.clipsonic.colours import measure_colours  # noqa: E402
from onnx_export.clipsonic.denoiser import Denoiser, DenoiserSize  # noqa: E402
from onnx_export.clipsonic.text_tower import TextTower, TextTowerSize, tokenize  # noqa: E402
from onnx_export.clipsonic.train_denoiser import DenoiserTraining, MelNormalisation, train_denoiser  # noqa: E402
from onnx_export.clipsonic.train_text import Lesson, TextTraining, train_text  # noqa: E402
from onnx_export.clipsonic.train_vocoder import VocoderTraining, train_vocoder  # noqa: E402
from onnx_export.clipsonic.vocoder import LogMel, Vocoder, VocoderSize, inverse_stft  # noqa: E402
from onnx_export.corpus import open_cache, read_catalog, split_of  # noqa: E402
from onnx_export.training import load_average  # noqa: E402
from plugin_server.audio.spectral import MelSettings, istft, log_mel, stft  # noqa: E402
from plugin_server.engine.bundles import Bundle, verify_bundle  # noqa: E402
from plugin_server.engine.card import read_card  # noqa: E402
from plugin_server.engine.families.clipsonic import load  # noqa: E402
from plugin_server.engine.order import TakeOrder  # noqa: E402
from plugin_server.engine.sessions import Cancellation, SessionOptions  # noqa: E402

MEL = MelSettings()
CPU = torch.device("cpu")
SMALL = Sizes(
    text=TextTowerSize(width=32, heads=2, layers=1, n_embedding=24),
    denoiser=DenoiserSize(n_embedding=24, width=48, depth=1, heads=2),
    vocoder=VocoderSize(width=32, depth=1, hidden=48),
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Twenty-four recordings of two sounds, in a catalogue as training reads it."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    rows = []
    for i in range(24):
        label = ("hiss", "hum")[i % 2]
        time = np.arange(44100) / 44100
        wave = rng.standard_normal(44100) * 0.1 if label == "hiss" else 0.3 * np.sin(2 * np.pi * (100 + i) * time)
        soundfile.write(folder / f"{i}.wav", wave, 44100)
        licence = "CC-BY-NC-3.0" if i == 0 else "GPL-2.0-only" if i == 1 else "CC0-1.0"
        rows.append(
            [f"{i}.wav", "1.0", "44100", label, f"a {label}", "test", "us", "", f"r{i}", licence, "me", "train"]
        )
    names = "file,seconds,sample_rate_of_source,label,caption,category,source,source_path,recording_id,licence"
    with open(folder / "catalog.csv", "w", newline="") as file:
        csv.writer(file).writerows([[*names.split(","), "attribution", "split"], *rows])
    return folder


@pytest.fixture(scope="module")
def cache(corpus, tmp_path_factory):
    return open_cache(read_catalog(corpus), tmp_path_factory.mktemp("cache"), MEL)


def test_licences_decide_what_is_used(corpus):
    assert len(read_catalog(corpus)) == 23
    assert len(read_catalog(corpus, "permissive")) == 22
    with pytest.raises(ValueError, match="'none'"):
        read_catalog(corpus, "none")


def test_the_split_depends_on_the_recording_alone():
    splits = [split_of(f"r{i}") for i in range(4000)]
    assert splits == [split_of(f"r{i}") for i in range(4000)]
    assert 0.82 < splits.count("train") / 4000 < 0.88
    assert 0.08 < splits.count("test") / 4000 < 0.12


def test_the_cache_holds_what_the_files_hold(cache):
    assert len(cache.wave(3)) == 44100
    np.testing.assert_allclose(cache.mel(3).T, log_mel(cache.wave(3), MEL), atol=0.3)
    assert cache.mel(3).shape == (87, 128)


def test_torch_and_numpy_make_the_same_mel_and_the_same_wave():
    samples = np.random.default_rng(0).standard_normal(512 * 40).astype(np.float32)
    theirs = LogMel(MEL)(torch.from_numpy(samples)[None])[0].numpy()
    np.testing.assert_allclose(theirs, log_mel(samples, MEL), atol=1e-3)
    spectrum = stft(samples, MEL)
    both = torch.from_numpy(np.stack([spectrum.real, spectrum.imag]))[None]
    np.testing.assert_allclose(inverse_stft(both, MEL)[0].numpy(), istft(spectrum, MEL), atol=1e-5)


def test_a_fresh_denoiser_says_the_mean_and_patches_come_back():
    model = Denoiser(SMALL.denoiser)
    x = torch.randn(2, 128, 12)
    assert torch.equal(model.unpatchify(model.patchify(x)), x)
    made = model(x, torch.tensor([0.1, 0.9]), torch.zeros(2, 24), torch.tensor([1.0, 5.0]), torch.ones(2))
    assert made.shape == x.shape
    assert not made.any()


def test_the_tower_gives_unit_vectors_whatever_the_padding():
    tower = TextTower(SMALL.text).eval()
    short = tokenize(["sea waves"], 77)
    long = torch.nn.functional.pad(short, (0, 77 - short.shape[1]))
    with torch.no_grad():
        a, b = tower(short), tower(long)
    torch.testing.assert_close(a, b, atol=1e-5, rtol=0)
    assert float(a.norm()) == pytest.approx(1, abs=1e-5)


def test_training_goes_on_where_it_stopped_and_the_bundle_runs(cache, tmp_path):
    """All three networks, a few steps each, then the real export and the server's own code on the result."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((49408, 40)).astype(np.float32)
    lesson = Lesson(["a hiss", "a hum", "hum"], np.eye(3, 24, dtype=np.float32), 1.0)
    for steps in (2, 4):
        train_text([lesson], vectors, SMALL.text, TextTraining(steps=steps, batch=4), tmp_path / "text.pt", CPU)
        wordings = {"hiss": np.eye(1, 24, dtype=np.float32), "hum": np.eye(1, 24, 3, dtype=np.float32)}
        training = DenoiserTraining(steps=steps, tokens=60, guide_from=3)
        train_denoiser(cache, wordings, MEL, SMALL.denoiser, training, tmp_path / "denoiser.pt", CPU)
        vocoder = VocoderTraining(steps=steps, batch=2, frames=24, adversarial_from=3, discriminator_channels=4)
        train_vocoder(cache, MEL, SMALL.vocoder, vocoder, tmp_path / "vocoder.pt", CPU)
    parts = {
        "text": TextTower(SMALL.text),
        "denoiser": Denoiser(SMALL.denoiser),
        "vocoder": Vocoder(MEL, SMALL.vocoder),
    }
    assert [load_average(tmp_path / f"{name}.pt", part) for name, part in parts.items()] == [4, 4, 4]
    networks = Networks(**parts, labels=["hiss", "hum"], colours=measure_colours(cache, ["hiss", "hum"]))
    np.testing.assert_allclose(parts["denoiser"].mel_mean, MelNormalisation.measure(cache).mean, atol=1e-3)
    written = write_bundle(tmp_path / "mini", MINI, networks, SMALL)
    bundle = Bundle(tmp_path / "mini", read_card(tmp_path / "mini"))
    verify_bundle(bundle)
    assert bundle.card == written
    assert all(graph.parity < 0.01 for graph in written.graphs.values())
    model = load(bundle, SessionOptions())
    hiss, hum = model.known.colours.usual
    # High bands are far stronger in a hiss.
    assert hiss[100:128].mean() > hum[100:128].mean() + 2
    order = TakeOrder("a hum", "", 0.7, 1, 2, 2.0)
    samples = model.run(order, lambda fraction, stage: None, Cancellation()).samples
    assert len(samples) >= 0.7 * 44100 and np.isfinite(samples).all()
