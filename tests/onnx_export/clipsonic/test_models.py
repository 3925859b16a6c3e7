"""The networks in PyTorch: shapes, twins of the server's arithmetic, export and training on almost nothing."""

import csv
import itertools
import shutil
from dataclasses import replace

import numpy as np
import onnx
import pytest
import soundfile
import torch
from PIL import Image

from onnx_export.clipsonic.export.band_statistics import measure_band_statistics
from onnx_export.clipsonic.export.bundle import (
    Networks,
    Sizes,
    denoiser_size_of,
    load_networks,
    prior_spec,
    write_bundle,
)
from onnx_export.clipsonic.export.resume import resume_from
from onnx_export.clipsonic.models.clap import Clap, ClapSize
from onnx_export.clipsonic.models.denoiser import Denoiser, DenoiserSize
from onnx_export.clipsonic.models.image_tower import ImageTower, ImageTowerSize
from onnx_export.clipsonic.models.inverse_stft import inverse_stft
from onnx_export.clipsonic.models.prior import Prior, PriorSize
from onnx_export.clipsonic.models.text_tower import TextTower, TextTowerSize, tokenize
from onnx_export.clipsonic.models.vocoder import LogMel, Vocoder, VocoderSize
from onnx_export.clipsonic.training.clap import ClapTraining, crop, train_clap
from onnx_export.clipsonic.training.conditioning import FrameConditioning, LabelConditioning, MixedConditioning
from onnx_export.clipsonic.training.denoiser import DenoiserTraining, train_denoiser
from onnx_export.clipsonic.training.denoiser_dataset import DenoiserDataset, MelNormalisation
from onnx_export.clipsonic.training.prior import EmbeddingPairs, PriorTraining, train_prior
from onnx_export.clipsonic.training.text_tower import DistillationSet, TextTraining, train_text
from onnx_export.clipsonic.training.vocoder import VocoderTraining, train_vocoder
from onnx_export.clipsonic.variants import CLAP_TTA, IQ, MINI, TTA
from onnx_export.data.sounds import open_sound_dataset, read_catalog, split_of
from onnx_export.graph.export import ExportSpec, export_graph
from onnx_export.graph.restore import restore
from onnx_export.training.checkpoint import Checkpoint, CheckpointMetadata, load_ema, read_metadata
from onnx_export.training.ema import EMA
from onnx_export.training.run import TrainingRun
from plugin_server.audio.spectral import MelSettings, istft, log_mel, stft
from plugin_server.engine.bundles.card import ImageSpec
from plugin_server.engine.bundles.card_reader import read_card
from plugin_server.engine.bundles.registry import Bundle, verify_bundle
from plugin_server.engine.families.clipsonic import load
from plugin_server.engine.messages import GenerationParams
from plugin_server.engine.sampling.prior import sample_prior
from plugin_server.engine.sessions import Cancellation, SessionOptions

MEL = MelSettings()
CPU = torch.device("cpu")
SMALL = Sizes(
    text=TextTowerSize(width=32, heads=2, layers=1, n_embedding=24),
    image=ImageTowerSize("test_efficientnet", ImageSpec(32, (0.5,) * 3, (0.5,) * 3), 24),
    prior=PriorSize(24, heads=2, head_width=8, layers=1),
    denoiser=DenoiserSize(n_embedding=24, width=48, depth=1, heads=2),
)
VOCODER = VocoderSize(width=32, depth=1, hidden=48)
WORDS = {"hiss": np.eye(1, 24, dtype=np.float32), "hum": np.eye(1, 24, 3, dtype=np.float32)}
PICTURES = {"hum": np.eye(2, 24, 7, dtype=np.float32)}


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
    return open_sound_dataset(read_catalog(corpus), tmp_path_factory.mktemp("cache"), MEL)


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


def words(cache):
    return LabelConditioning(cache, WORDS)


def run(path, **options):
    return TrainingRun(path, CPU, seed=1, **options)


def test_training_goes_on_where_it_stopped_and_the_bundle_runs(cache, tmp_path):
    """All three networks, a few steps each, then the real export and the server's own code on the result."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((49408, 40)).astype(np.float32)
    lesson = DistillationSet(["a hiss", "a hum", "hum"], np.eye(3, 24, dtype=np.float32), 1.0)
    for steps in (2, 4):
        train_text([lesson], vectors, SMALL.text, TextTraining(steps=steps, batch=4), run(tmp_path / "text.pt"))
        training = DenoiserTraining(steps=steps, tokens=60, guidance_distillation_from=3)
        train_denoiser(words(cache), SMALL.denoiser, training, run(tmp_path / "denoiser.pt"), "toy")
        vocoder = VocoderTraining(steps=steps, batch=2, frames=24, adversarial_from=3, period_channels=2)
        train_vocoder(cache, VOCODER, vocoder, run(tmp_path / "vocoder.pt"))
    parts = {
        "text": TextTower(SMALL.text),
        "denoiser": Denoiser(SMALL.denoiser),
        "vocoder": Vocoder(MEL, VOCODER),
    }
    assert [load_ema(tmp_path / f"{name}.pt", part) for name, part in parts.items()] == [4, 4, 4]
    networks = Networks(
        **parts, labels=["hiss", "hum"], band_statistics=measure_band_statistics(cache, ["hiss", "hum"])
    )
    np.testing.assert_allclose(parts["denoiser"].mel_mean, MelNormalisation.measure(cache).mean, atol=1e-3)
    written = write_bundle(tmp_path / "mini", replace(MINI, has_image_tower=False, priors=()), networks, SMALL)
    bundle = Bundle(tmp_path / "mini", read_card(tmp_path / "mini"))
    verify_bundle(bundle)
    assert bundle.card == written
    assert all(graph.parity < 0.01 for graph in written.graphs.values())
    model = load(bundle, SessionOptions())
    hiss, hum = model.label_anchors.band_statistics.centres
    # High bands are far stronger in a hiss.
    assert hiss[100:128].mean() > hum[100:128].mean() + 2
    order = GenerationParams("a hum", "", 0.7, 1, 2, 2.0)
    samples = model.run(order, lambda fraction, stage: None, Cancellation()).samples
    assert len(samples) >= 0.7 * 44100 and np.isfinite(samples).all()


def test_clips_are_conditioned_on_words_pictures_or_either(cache):
    rng = np.random.default_rng(0)
    labels = [sound.label for sound in cache.sounds]
    both = MixedConditioning(words(cache), LabelConditioning(cache, PICTURES, ("image",)))
    hum, hiss = labels.index("hum"), labels.index("hiss")
    assert both.kinds == ("text", "image")
    assert both.size == 24 and both.has(hiss) and not both.second.has(hiss)
    drawn = {int(both.sample(hum, rng).argmax()) for _ in range(60)}
    assert drawn == {3, 7, 8}
    assert {int(both.sample(hiss, rng).argmax()) for _ in range(20)} == {0}
    # A sound without words is asked for by its pictures alone.
    assert MixedConditioning(LabelConditioning(cache, {"bang": WORDS["hum"]}), both.second).sample(
        hum, rng
    ).argmax() in (7, 8)


class Videos:
    n_embedding = 24

    def frames(self, index):
        return np.eye(3, 24, index, dtype=np.float16)


def test_videos_are_conditioned_on_their_own_frames():
    drawn = {int(FrameConditioning(Videos()).sample(4, np.random.default_rng(seed)).argmax()) for seed in range(40)}
    assert drawn == {4, 5, 6}


def test_a_sound_without_a_picture_is_not_shown_to_the_denoiser_of_pictures(cache, tmp_path):
    """CLIPSonic-IQ: only filmed sounds teach, and it begins with a backbone whose conditions are forgotten."""
    training = DenoiserTraining(steps=1, tokens=60)
    train_denoiser(words(cache), SMALL.denoiser, training, run(tmp_path / "tta.pt"), "toy")
    pictures = LabelConditioning(cache, PICTURES, ("image",))
    examples = DenoiserDataset(pictures, MelNormalisation.measure(cache), training, SMALL.denoiser.patch)
    assert {cache.sounds[i].label for i in examples.indices} == {"hum"}
    path = tmp_path / "iq.pt"
    zero = DenoiserTraining(steps=0, tokens=60)
    train_denoiser(pictures, SMALL.denoiser, zero, run(path, backbone=tmp_path / "tta.pt"), "toy")
    saved, before = (torch.load(p, weights_only=True) for p in (path, tmp_path / "tta.pt"))
    assert read_metadata(path) == CheckpointMetadata("toy", ("image",), heads=2, seed=1)
    torch.testing.assert_close(saved["model"]["blocks.0.qkv.weight"], before["average"]["state"]["blocks.0.qkv.weight"])
    assert not torch.equal(saved["model"]["from_embedding.0.weight"], before["model"]["from_embedding.0.weight"])


def test_a_prior_learns_where_the_pictures_of_words_are(tmp_path):
    """Two words whose pictures lie elsewhere than they do: after some hundred steps the prior leads there."""
    rng = np.random.default_rng(0)
    texts = np.eye(2, 24, dtype=np.float32)
    around = np.eye(2, 24, 10)[:, None] + 0.1 * rng.standard_normal((2, 30, 24))
    around = (around / np.linalg.norm(around, axis=2, keepdims=True)).astype(np.float32)
    pairs = EmbeddingPairs([texts[:1], texts[1:]], list(around), np.array([0.5, 0.5]))
    training = PriorTraining(steps=300, batch=64, learning_rate=3e-3)
    train_prior(pairs, SMALL.prior, training, run(tmp_path / "prior-pd.pt"), "toy")
    prior = Prior(SMALL.prior)
    load_ema(tmp_path / "prior-pd.pt", prior)
    spec = prior_spec("pd", prior)

    @torch.no_grad()
    def predict(x, level, text):
        return prior(torch.from_numpy(x), torch.tensor([level]), torch.from_numpy(text)).numpy()

    for row in range(2):
        text = texts[row : row + 1]
        drawn = sample_prior(lambda x, level, text=text: predict(x, level, text), spec, 24, seed=1)
        assert drawn[0] @ around[row].mean(axis=0) > 0.7 > 0.3 > drawn[0] @ around[1 - row].mean(axis=0)


def test_words_and_sounds_meet(cache, tmp_path):
    training = ClapTraining(steps=200, batch=16, crop_s=0.46, learning_rate=4e-3)
    train_clap(words(cache), ClapSize(24, width=16), training, run(tmp_path / "clap.pt"))
    clap = Clap(ClapSize(24, width=16))
    load_ema(tmp_path / "clap.pt", clap)
    with torch.no_grad():
        said = clap.words(torch.from_numpy(np.concatenate([WORDS["hiss"], WORDS["hum"]])))
        for i in range(4):
            heard = clap.sounds(torch.from_numpy(crop(cache.mel(i), 87, np.random.default_rng(0)))[None])
            right = ("hiss", "hum").index(cache.sounds[i].label)
            assert float(heard @ said[right]) > float(heard @ said[1 - right])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A checkpoint of every network, untaught."""
    folder = tmp_path_factory.mktemp("runs")
    torch.manual_seed(0)
    modules = {
        "text": TextTower(SMALL.text),
        "image": ImageTower(SMALL.image),
        "clap": Clap(ClapSize(24, width=16)),
        "vocoder": Vocoder(MEL, VOCODER),
        **{name: Denoiser(SMALL.denoiser) for name in ("denoiser", "denoiser-iq", "denoiser-tta", "denoiser-clap-tta")},
        **{f"prior-{way}": Prior(SMALL.prior) for way in ("pd", "sd")},
    }
    for name, module in modules.items():
        for parameter in module.parameters():
            # Nothing stays at nought, where errors would not show.
            parameter.data.add_(0.02 * torch.randn_like(parameter))
        metadata = CheckpointMetadata(conditions=("image",)) if name == "denoiser-iq" else None
        Checkpoint(folder / f"{name}.pt", {"model": module, "average": EMA(module)}, metadata).save(7)
    return folder


@pytest.mark.parametrize("variant", [MINI, IQ, TTA, CLAP_TTA], ids=lambda variant: variant.name)
def test_every_variant_becomes_a_bundle_that_the_server_runs(runs, tmp_path, variant):
    sizes = replace(SMALL, clap=ClapSize(24, width=16))
    card = write_bundle(tmp_path / "b", variant, load_networks(runs, variant, sizes, ["hiss", "hum"]), sizes)
    verify_bundle(Bundle(tmp_path / "b", card))
    model = load(Bundle(tmp_path / "b", read_card(tmp_path / "b")), SessionOptions())
    assert card.conditionings == {"clipsonic-mini": ("text", "pd"), "clipsonic-iq": ("zs", "pd", "sd")}.get(
        card.name, ("text",)
    )
    picture = tmp_path / "a.png"
    Image.new("RGB", (40, 30), "red").save(picture)
    asked = [GenerationParams("a hum", "", 0.7, 1, 2, 2.0, conditioning=way) for way in card.conditionings]
    if card.image:
        asked.append(GenerationParams("", "", 0.7, 1, 2, 2.0, images=(str(picture),), blend=1.0))
    conditions = [model.embed(order, Cancellation()) for order in asked]
    for condition in conditions:
        assert condition.shape == (1, 24) and np.linalg.norm(condition) == pytest.approx(1, abs=1e-5)
    assert all(np.abs(a - b).max() > 1e-3 for a, b in itertools.combinations(conditions, 2))


@pytest.mark.parametrize("skip", [False, True])
def test_a_bundle_becomes_runs_again(runs, tmp_path, skip):
    """What was shipped can be taught on: its weights come back, half precision aside; the graph knows its shape."""
    if skip:
        runs = _with_skip(runs, tmp_path / "runs")
    networks = load_networks(runs, TTA, SMALL, ["hiss", "hum"])
    write_bundle(tmp_path / "tta", TTA, networks, SMALL)
    bundle = Bundle(tmp_path / "tta", read_card(tmp_path / "tta"))
    resume_from(bundle, SMALL, tmp_path / "again", step=500)
    size = replace(SMALL.denoiser, skip=skip, patch=2 if skip else 4)
    assert read_metadata(tmp_path / "again" / "denoiser.pt").heads == 2
    for name, module in {"text": TextTower(SMALL.text), "denoiser": Denoiser(size)}.items():
        first = {key: value.clone() for key, value in module.state_dict().items()}
        assert load_ema(tmp_path / "again" / f"{name}.pt", module) == 500
        stem = "denoiser-tta" if name == "denoiser" else name
        saved = torch.load(runs / f"{stem}.pt", weights_only=True)["average"]["state"]
        for key, value in module.state_dict().items():
            # The table of tokens is kept in bytes.
            tolerance = 2e-3 if "token_embedding" in key else 5e-4
            wanted = torch.tensor(bundle.card.mel_mean) if key == "mel_mean" else saved[key]
            if key not in ("mel_std", "transformer.attn_mask"):
                torch.testing.assert_close(value, wanted, atol=tolerance, rtol=2e-3, msg=key)
        assert any(not torch.equal(first[key], module.state_dict()[key]) for key in first)
    with pytest.raises(FileExistsError, match=r"text\.pt"):
        resume_from(bundle, SMALL, tmp_path / "again", step=0)
    with pytest.raises(ValueError, match="another network"):
        resume_from(bundle, replace(SMALL, text=replace(SMALL.text, n_embedding=32)), tmp_path / "other", step=0)


def _with_skip(runs, folder):
    """The same runs with a denoiser of another shape, which only its checkpoint tells."""
    shutil.copytree(runs, folder)
    model = Denoiser(replace(SMALL.denoiser, skip=True, patch=2))
    for parameter in model.parameters():
        parameter.data.add_(0.02 * torch.randn_like(parameter))
    model.grain_variance.uniform_(0.02, 0.2)
    metadata = CheckpointMetadata(heads=2)
    Checkpoint(folder / "denoiser-tta.pt", {"model": model, "average": EMA(model)}, metadata).save(7)
    return folder


def test_a_graph_without_its_shape_has_that_of_the_sizes(runs, tmp_path):
    networks = load_networks(runs, TTA, SMALL, ["hiss", "hum"])
    write_bundle(tmp_path / "tta", TTA, networks, SMALL)
    graph = tmp_path / "tta" / "denoiser.onnx"
    assert denoiser_size_of(graph) == SMALL.denoiser
    model = onnx.load(graph)
    del model.metadata_props[:]
    onnx.save(model, graph)
    assert denoiser_size_of(graph) is None
    bundle = Bundle(tmp_path / "tta", read_card(tmp_path / "tta"))
    with pytest.raises(ValueError, match="another network"):
        resume_from(bundle, replace(SMALL, denoiser=DenoiserSize(n_embedding=24, width=96)), tmp_path / "other", step=0)


def test_weights_that_were_merged_do_not_come_back_unnoticed(tmp_path):
    """A batch norm goes into the convolution before it."""
    module = torch.nn.Sequential(torch.nn.Conv1d(3, 4, 3), torch.nn.BatchNorm1d(4)).eval()
    what = ExportSpec(module, {"x": torch.randn(2, 3, 9)}, ["y"], {"x": {0: "batch"}})
    export_graph(what, tmp_path / "g.onnx")
    with pytest.raises(ValueError, match=r"weight .* more are merged with others"):
        restore(what, tmp_path / "g.onnx")
