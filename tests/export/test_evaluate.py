"""The judges themselves: they must know good from bad before they judge a model."""

import json

import numpy as np
import pytest

pytest.importorskip("torch", reason="the train extra is not installed")

from onnx_export.corpus import Cache, Sound
from onnx_export.evaluate import Report, Share, griffin_lim, judge_tower, read_paraphrases
from onnx_export.listener import Listener, concepts, describe
from plugin_server.audio.spectral import MelSettings, log_mel

MEL = MelSettings()
RATE = MEL.sample_rate


def sound(kind: str, seed: int) -> np.ndarray:
    rng, time = np.random.default_rng(seed), np.arange(RATE) / RATE
    if kind == "hum":
        return 0.2 * np.sin(2 * np.pi * rng.uniform(90, 140) * time) + 0.001 * rng.standard_normal(RATE)
    if kind == "clicks":
        return rng.standard_normal(RATE) * np.exp(-60 * (time % rng.uniform(0.15, 0.3)))
    return rng.standard_normal(RATE) * rng.uniform(0.05, 0.3)


@pytest.fixture(scope="module")
def cache() -> Cache:
    kinds = ["hum", "clicks", "hiss"]
    sounds, mels = [], []
    for i in range(150):
        kind = kinds[i % 3]
        sounds.append(Sound(None, kind, kind, "test", f"rec{i}", "CC0-1.0", "", "", RATE))
        mels.append(log_mel(sound(kind, i).astype(np.float32), MEL).T.astype(np.float16))
    bounds = np.cumsum([0] + [len(mel) for mel in mels])
    return Cache(sounds, np.zeros(0, np.int16), np.zeros(1, int), np.concatenate(mels), bounds)


def test_the_listener_knows_recordings_it_never_heard(cache):
    listener = Listener.train(cache, steps=100)
    test = cache.indices("test")
    assert set(listener.labels) == {"hum", "clicks", "hiss"} == set(concepts(cache))
    ranks = [listener.rank(cache.mel(i), cache.sounds[i].label) for i in test]
    assert len(test) >= 4 and np.mean([rank == 0 for rank in ranks]) > 0.8


def test_a_description_does_not_depend_on_level_or_length():
    hiss = sound("hiss", 5).astype(np.float32)
    one, soft, long = (describe(log_mel(x, MEL).T) for x in (hiss, hiss * 0.3, np.tile(hiss, 2)))
    assert np.abs(one - soft).max() < 0.05
    assert np.abs(one - long).mean() < 0.1


def test_griffin_lim_gives_back_a_sound_with_that_spectrum():
    target = log_mel(sound("clicks", 1).astype(np.float32), MEL)
    made = log_mel(griffin_lim(target, MEL, 8), MEL)
    silent = log_mel(np.zeros(RATE, np.float32), MEL)
    assert np.abs(made - target).mean() < 0.25 * np.abs(silent - target).mean()


@pytest.mark.parametrize(("hits", "n", "low", "high"), [(0, 10, 0.0, 0.278), (5, 10, 0.237, 0.763), (10, 10, 0.722, 1)])
def test_intervals_are_wilsons(hits, n, low, high):
    assert Share(hits, n).interval() == pytest.approx((low, high), abs=2e-3)


def test_paraphrases_are_none_of_the_labels():
    pairs = read_paraphrases()
    assert len(pairs) >= 40
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
    shares = judge_tower(Model(), labels)
    assert shares["top-1"].hits == shares["top-1"].n - 1


def test_a_report_is_a_table_and_json():
    report = Report(vocoder={"all": {"vocoder": 0.2, "griffin_lim": 0.1}}, tower={"top-1": Share(1, 2)}, n_concepts=3)
    report.listener["white noise"] = {"top-1": Share(0, 4), "top-5": Share(1, 4)}
    assert "| all | 0.200 | 0.100 |" in report.table()
    assert json.loads(report.to_json())["tower"]["top-1"] == {"hits": 1, "n": 2}
