import numpy as np
import pytest

from plugin_server.engine.bundles import find_bundle
from plugin_server.engine.families.clipsonic import load
from plugin_server.engine.order import TakeOrder
from plugin_server.engine.sessions import Cancellation, SessionOptions
from plugin_server.settings import SHIPPED_BUNDLES


@pytest.fixture(scope="module")
def toy(toys):
    return load(find_bundle((toys,), "toy"), SessionOptions(threads=1))


@pytest.fixture(scope="module")
def mini():
    return load(find_bundle((SHIPPED_BUNDLES,), "clipsonic-mini"), SessionOptions())


def make(model, prompt="sea waves", negative="", seconds=1.0, seed=3, steps=4, guidance=2.0):
    order = TakeOrder(prompt, negative, seconds, seed, steps, guidance)
    return model.run(order, lambda fraction, stage: None, Cancellation())


@pytest.mark.parametrize("seconds", [0.25, 0.5, 1.0, 3.3])
def test_whole_frames_cover_the_seconds(toy, seconds):
    samples = make(toy, seconds=seconds)
    frame = toy.card.mel.hop * toy.card.frame_multiple
    assert seconds * toy.sample_rate <= len(samples) < seconds * toy.sample_rate + frame
    assert samples.shape[1] == 1


def test_guidance_one_calls_the_denoiser_for_the_prompt_alone(toy, monkeypatch):
    batches = []
    run = type(toy.denoiser).run

    def count(self, feeds, cancellation):
        if self is toy.denoiser:
            batches.append(len(feeds["sigma"]))
        return run(self, feeds, cancellation)

    monkeypatch.setattr(type(toy.denoiser), "run", count)
    make(toy, guidance=1.0, steps=3)
    make(toy, guidance=2.0, steps=3)
    assert batches == [1, 1, 1, 2, 2, 2]


def test_a_negative_prompt_changes_the_sound(toy):
    assert not np.allclose(make(toy), make(toy, negative="wind"))


def test_the_shipped_tower_places_words_sensibly(mini):
    def likeness(a, b):
        one, two = (mini.embed(text, Cancellation())[0] for text in (a, b))
        return float(one @ two)

    assert likeness("ocean surf", "sea waves") > likeness("ocean surf", "dog barking") + 0.2
    assert likeness("puppy barking", "dog barking") > likeness("puppy barking", "sea waves") + 0.2
    assert likeness("downpour", "rain") > likeness("downpour", "church bells") + 0.2
    vector = mini.embed("an entirely new thing", Cancellation())
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-3)


def test_rain_is_not_a_dog(mini):
    """Rain goes on, a bark is events: the level of frames varies more, and the energy lies elsewhere."""
    rain, dog = (
        np.concatenate([make(mini, prompt, seconds=3.0, seed=seed, steps=8, guidance=3.0)[:, 0] for seed in (1, 2)])
        for prompt in ("rain", "dog barking")
    )

    def unevenness(x):
        frames = np.sqrt((x[: len(x) // 882 * 882].reshape(-1, 882) ** 2).mean(axis=1)) + 1e-6
        return np.log(frames).std()

    assert np.isfinite(rain).all() and np.isfinite(dog).all()
    assert unevenness(dog) > 1.5 * unevenness(rain)
