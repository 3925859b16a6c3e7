"""The judges themselves: they must know good from bad before they judge a model."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from matplotlib import pyplot

from onnx_export.cli import main
from onnx_export.clipsonic.training.datasets import DataPaths
from onnx_export.data.sounds import SoundDataset, open_sound_dataset, read_catalog, split_of
from onnx_export.evaluation.clip_sets import Heard, Search, of_cache, pick_test_clips, read_paraphrases, same_sounds
from onnx_export.evaluation.diffusion_classifier import probe
from onnx_export.evaluation.distances import Components, frechet, frechet_of_clips, mean_of, nearest, spread
from onnx_export.evaluation.evaluate import MADE, REAL, Weights, evaluate_bundle, judge_tower
from onnx_export.evaluation.figures import choose
from onnx_export.evaluation.judges import Listeners, OwnEar, concepts, describe, describe_all, fold_of
from onnx_export.evaluation.references.crepe import SAMPLE_RATE as CREPE_RATE
from onnx_export.evaluation.references.crepe import Crepe, pitch_error, track_pitch
from onnx_export.evaluation.references.hifigan import HifiGan, load_hifigan, resynthesise
from onnx_export.evaluation.references.soundnet import SoundNet, load_soundnet, soundnet_frames
from onnx_export.evaluation.report import Report
from onnx_export.evaluation.vocoders import Fidelity, griffin_lim
from plugin_server.audio.spectral import MelSettings, log_mel
from tests.support.toys import MEL as TOY_MEL
from tests.support.toys import write_toy

MEL = MelSettings()
RATE = MEL.sample_rate
KINDS = ("hum", "clicks", "hiss")


def sound(kind: str, seed: int, rate: int = RATE) -> np.ndarray:
    rng, time = np.random.default_rng(seed), np.arange(rate) / rate
    if kind == "hum":
        wave = 0.2 * np.sin(2 * np.pi * rng.uniform(90, 140) * time) + 0.001 * rng.standard_normal(rate)
    elif kind == "clicks":
        wave = 0.3 * rng.standard_normal(rate) * np.exp(-60 * (time % rng.uniform(0.15, 0.3)))
    else:
        wave = rng.standard_normal(rate) * rng.uniform(0.05, 0.2)
    return np.clip(wave, -1, 1).astype(np.float32)


def write_corpus(folder: Path, n: int, rate: int) -> Path:
    rows = []
    for i in range(n):
        kind = KINDS[i % 3]
        soundfile.write(folder / f"{i}.wav", sound(kind, i, rate), rate)
        # One label has paraphrases in the project's own list.
        label = {"hum": "hum", "clicks": "hammering", "hiss": "rain"}[kind]
        place = [f"{i}.wav", "1.0", "48000", label, f"some {label}", kind, "us", "", f"r{i}", "CC0-1.0", "me", "train"]
        rows.append(place)
    names = "file,seconds,sample_rate_of_source,label,caption,category,source,source_path,recording_id,licence"
    with open(folder / "catalog.csv", "w", newline="") as file:
        csv.writer(file).writerows([[*names.split(","), "attribution", "split"], *rows])
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"), 90, TOY_MEL.sample_rate)


@pytest.fixture(scope="module")
def cache(corpus, tmp_path_factory) -> SoundDataset:
    return open_sound_dataset(read_catalog(corpus), tmp_path_factory.mktemp("cache"), TOY_MEL)


@pytest.fixture(scope="module")
def judged(cache):
    """Listeners over the toy corpus, with its training rows."""
    ear = OwnEar(TOY_MEL)
    train = cache.indices("train")
    rows = describe_all([cache.wave(i) for i in train], ear.clip)
    return ear, Listeners.train(rows, [cache.sounds[i] for i in train], steps=60), rows, train


def test_the_listeners_know_recordings_they_never_heard(cache, judged):
    ear, listeners, _, _ = judged
    heard = of_cache(cache, cache.indices("test"))
    rows = describe_all([h.wave for h in heard], ear.clip)
    ranks = listeners.ranks(rows, [h.label for h in heard], [None] * len(heard))
    assert listeners.labels == concepts(cache) == ["hammering", "hum", "rain"]
    assert ranks.shape == (len(heard), 4) and (ranks >= 0).all()
    assert (ranks == 0).mean() > 0.8


def test_a_training_recording_is_judged_by_who_has_not_heard_it(cache, judged):
    _, listeners, rows, train = judged
    sounds = [cache.sounds[i] for i in train]
    ranks = listeners.ranks(rows, [s.label for s in sounds], [s.recording_id for s in sounds])
    assert ((ranks >= 0).sum(axis=1) == 1).all()
    assert all(ranks[i, fold_of(s.recording_id)] >= 0 for i, s in enumerate(sounds))


def test_a_description_does_not_depend_on_level_or_length():
    hiss = sound("hiss", 5)
    one, soft, long = (describe(log_mel(x, MEL).T) for x in (hiss, hiss * 0.3, np.tile(hiss, 2)))
    assert np.abs(one - soft).max() < 0.05
    assert np.abs(one - long).mean() < 0.1


def test_griffin_lim_gives_back_a_sound_with_that_spectrum():
    target = log_mel(sound("clicks", 1), MEL)
    made = log_mel(griffin_lim(target, MEL, 8), MEL)
    silent = log_mel(np.zeros(RATE, np.float32), MEL)
    assert np.abs(made - target).mean() < 0.25 * np.abs(silent - target).mean()


def test_an_interval_holds_the_mean_and_narrows_with_more():
    few, many = mean_of([0, 1] * 5), mean_of([0, 1] * 500)
    assert few.low < few.mean == 0.5 < few.high
    assert many.high - many.low < 0.2 * (few.high - few.low)
    with pytest.raises(ValueError, match="got none"):
        mean_of([])


def test_the_frechet_distance_of_gaussians_is_known():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((20_000, 4))
    assert frechet(a, a) == pytest.approx(0, abs=1e-6)
    assert frechet(a, a + np.array([2, 0, 0, 0])) == pytest.approx(4, rel=0.02)
    # Of deviations 1 and 3 in each of four directions: 4 * (3 - 1) ** 2.
    assert frechet(a, 3 * rng.standard_normal((20_000, 4))) == pytest.approx(16, rel=0.05)


def test_sets_of_clips_are_compared_by_their_windows():
    rng = np.random.default_rng(0)
    clips = [[rng.standard_normal((30, 3)) + shift for _ in range(10)] for shift in (0.0, 0.0, 1.0)]
    near, far = frechet_of_clips(clips[0], clips[1]), frechet_of_clips(clips[0], clips[2])
    assert near.low <= near.mean <= near.high < far.low
    assert far.n == 10


def test_distances_between_rows():
    rows = np.array([[0.0, 0.0], [3.0, 4.0]])
    np.testing.assert_allclose(nearest(rows, np.array([[0.0, 1.0], [9.0, 9.0]])), [1.0, np.hypot(3, 3)])
    assert spread([rows, rows[:1]]) == [5.0]
    components = Components.measure(np.random.default_rng(0).standard_normal((100, 80)))
    assert components(np.zeros((2, 80))).shape == (2, 64)


def test_paraphrases_are_none_of_the_labels():
    pairs = read_paraphrases()
    assert len(pairs) >= 170
    assert len({prompt for prompt, _ in pairs}) == len(pairs)
    assert not {prompt for prompt, _ in pairs} & {label for _, label in pairs}


def test_the_tower_is_judged_by_the_rank_of_the_right_label():
    class Model:
        """Puts every paraphrase on its own label, but for one."""

        def embed(self, text, cancellation):
            homes = dict(read_paraphrases()) | {"puppy barking": "rain"}
            rng = np.random.default_rng(abs(hash(homes.get(text, text))) % 2**32)
            vector = rng.standard_normal(64)
            return (vector / np.linalg.norm(vector))[None]

    labels = sorted({label for _, label in read_paraphrases()})
    share = judge_tower(Model(), labels)["top-1"]
    assert round(share.mean * share.n) == share.n - 1
    assert judge_tower(Model(), ["no such label"]) == {}


def test_the_same_sounds_come_from_training_recordings(cache):
    real = of_cache(cache, pick_test_clips(cache, concepts(cache)))
    same = same_sounds(cache, real)
    assert [h.label for h in same] == [h.label for h in real]
    assert all(split_of(h.recording_id) == "train" for h in same)
    assert all(split_of(h.recording_id) == "test" for h in real)


def test_a_search_finds_captions_and_keeps_what_was_asked(cache):
    def embed(texts):
        return np.array([[text.endswith("rain"), text.endswith("hum"), 0.1] for text in texts], np.float32)

    ((one, two),) = Search(cache, embed).find([("a humming hum", "hum")], 2)
    assert (one.prompt, one.label) == ("a humming hum", "hum")
    assert {one.category, two.category} == {"hum"}
    assert one.recording_id != two.recording_id


def test_soundnet_takes_the_layout_of_its_file_and_no_other_file(tmp_path):
    frames = soundnet_frames(SoundNet().eval(), sound("hiss", 0), RATE)
    assert [part.shape[1] for part in frames] == [256, 512]
    assert len(frames[0]) >= 2 * len(frames[1]) - 2 > 0
    (tmp_path / "x.npy").write_bytes(b"something else")
    with pytest.raises(ValueError, match="sha256 is"):
        load_soundnet(tmp_path / "x.npy")


def test_hifigan_reads_weights_with_their_norms_apart(tmp_path):
    network = HifiGan(channels=16)
    saved = {}
    for name, value in network.state_dict().items():
        if name.endswith("weight"):
            length = torch.linalg.vector_norm(value, dim=(1, 2), keepdim=True)
            saved |= {f"{name}_g": 2 * length, f"{name}_v": value}
        else:
            saved[name] = value
    torch.save({"generator": saved}, tmp_path / "g.pth")
    loaded = load_hifigan(tmp_path / "g.pth", channels=16)
    torch.testing.assert_close(loaded.conv_pre.weight, 2 * network.conv_pre.weight)
    made = resynthesise(loaded, sound("hum", 1), RATE)
    assert len(made) == 22050 // 256 * 256 + 256


def test_pitch_errors_count_sure_frames_alone():
    class Sure(Crepe):
        """Hears the bin that is the number of zero crossings."""

        def forward(self, frames):
            crossings = (frames[:, 1:] * frames[:, :-1] < 0).sum(dim=1)
            return torch.nn.functional.one_hot(crossings.clamp(max=359), 360) * 0.9

    time = np.arange(RATE) / RATE
    low, high = (np.sin(2 * np.pi * hz * time).astype(np.float32) for hz in (500, 1000))
    cents, sure = track_pitch(Sure(), low, RATE)
    assert len(cents) == len(sure) == CREPE_RATE // 320 + 1
    assert np.median(pitch_error(Sure(), (cents, sure), high, RATE)) == pytest.approx(64 * 20, rel=0.1)
    assert len(pitch_error(Sure(), (cents, np.zeros_like(sure)), high, RATE)) == 0


def test_the_sheet_shows_other_labels_from_all_categories():
    clips = [Heard(np.zeros(1), f"l{i // 2}", "", f"c{i % 3}") for i in range(120)]
    chosen = choose(clips)
    assert len(chosen) == len({clips[i].label for i in chosen}) == 24
    assert {clips[i].category for i in chosen} == {"c0", "c1", "c2"}


def test_everything_is_judged_and_told(corpus, tmp_path):
    """A toy model on a toy corpus: the whole run, its table, its JSON, its sheet with sounds."""
    write_toy(tmp_path)
    sources = DataPaths(corpus, tmp_path / "runs", mel=TOY_MEL)
    report = evaluate_bundle(tmp_path / "toy", sources, Weights(), n_takes=2, sheet=tmp_path / "sheet.png")
    figures = report.heard["bands"]
    assert figures[REAL]["top-1"].mean > 0.8 > figures["white noise"]["top-1"].mean
    assert figures["training recordings of the same sounds"]["FAD"].mean < figures[MADE]["FAD"].mean
    assert report.diversity["bands"]["recordings of one sound"].mean == pytest.approx(1)
    assert "made from paraphrases" in figures
    table = report.table()
    assert "| white noise |" in table and "| Griffin-Lim, 32 rounds |" in table
    assert json.loads(report.to_json())["n_concepts"] == 3
    assert len(list((tmp_path / "sheet").glob("*.wav"))) == 2 * 3
    assert (tmp_path / "sheet.png").stat().st_size > 1000


def test_a_picture_of_prompts_is_drawn(tmp_path):
    write_toy(tmp_path)
    for name, prompts in (("one", ["hum"]), ("four", ["hum", "rain", "hammering", "wind"])):
        assert main(["draw", str(tmp_path / "toy"), str(tmp_path / f"{name}.png"), *prompts]) == 0
    one, four = (pyplot.imread(tmp_path / f"{name}.png") for name in ("one", "four"))
    # Three in a line: the fourth begins another.
    assert four.shape[1] == one.shape[1] and four.shape[0] > 1.5 * one.shape[0]
    assert one[..., :3].std() > 0.01


def test_a_report_shows_what_is_missing():
    report = Report("toy", 3, vocoder={"all": {"vocoder": Fidelity(0.2, 0.1, 0.9, None)}})
    report.heard["bands"] = {"white noise": {"top-1": mean_of([0.0, 1.0])}}
    assert "| white noise | 0.50 (0.00 to 1.00) | – | – | – | – |" in report.table()
    assert "| all | 0.200 / 0.100 / 0.90 / – |" in report.table()


class Knowing:
    """A denoiser that answers each label with that label's usual spectrum."""

    def __init__(self, cache, labels):
        self.labels, self.card = labels, fake_card()
        picked = {label: [i for i, s in enumerate(cache.sounds) if s.label == label] for label in labels}
        self.usual = np.stack([np.concatenate([cache.mel(i) for i in picked[n]]).mean(axis=0) for n in labels])
        self.denoiser = self

    def embed(self, label, cancellation):
        return np.eye(len(self.labels), dtype=np.float32)[[self.labels.index(label)]]

    def run(self, feeds, cancellation):
        assert set(feeds) == {"noised", "embedding"}
        return [np.broadcast_to((feeds["embedding"] @ self.usual)[:, :, None], feeds["noised"].shape)]


def fake_card() -> SimpleNamespace:
    inputs = [SimpleNamespace(name=name) for name in ("noised", "embedding")]
    zeros, ones = (np.full(TOY_MEL.n_mels, number) for number in (0, 1))
    graphs = {"denoiser": SimpleNamespace(inputs=inputs)}
    return SimpleNamespace(mel=TOY_MEL, mel_mean=zeros, mel_std=ones, frame_multiple=4, graphs=graphs)


def test_the_probe_tells_a_denoiser_that_knows_its_labels_from_one_that_mixes_them_up(cache):
    labels = ["hammering", "hum", "rain"]
    knowing = Knowing(cache, labels)
    found = probe(knowing, cache, labels, "train", 0.5, 20, seconds=0.5)
    assert found.top_1.mean > 0.9 and found.top_1.n == 20
    assert str(found).startswith("train, noise 0.5: top-1 ")
    knowing.usual = knowing.usual[[1, 2, 0]]
    assert probe(knowing, cache, labels, "train", 0.5, 20, seconds=0.5).top_1.mean < 0.1
    with pytest.raises(ValueError, match="train has no clip of 9 s"):
        probe(knowing, cache, labels, "train", 0.5, 20, seconds=9)
