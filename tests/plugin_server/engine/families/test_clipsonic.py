from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from plugin_server.audio.spectral import log_mel
from plugin_server.engine.bundles.registry import BundleRegistry
from plugin_server.engine.families.clipsonic import load
from plugin_server.engine.interface import ignore_progress
from plugin_server.engine.messages import GenerationParams
from plugin_server.engine.sampling.label_anchors import LabelAnchors
from plugin_server.engine.sessions import Cancellation, GraphSession, SessionOptions
from plugin_server.errors import BadFile
from plugin_server.settings import SHIPPED_BUNDLES
from tests.support.media import RED, write_video
from tests.support.toys import write_toy


@pytest.fixture(scope="module")
def toy(toys):
    return load(BundleRegistry((toys,)).find("toy"), SessionOptions(threads=1))


@pytest.fixture(scope="module")
def guided_toy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier_free_guidance")
    write_toy(folder, distilled_guidance_max=4.0)
    return load(BundleRegistry((folder,)).find("toy"), SessionOptions(threads=1))


@pytest.fixture(scope="module")
def mini():
    return load(BundleRegistry((SHIPPED_BUNDLES,)).find("clipsonic-mini"), SessionOptions())


def render(model, prompt="sea waves", negative="", seconds=1.0, seed=3, steps=4, guidance=2.0, **more):
    params = GenerationParams(prompt, negative, seconds, seed, steps, guidance, **more)
    return model.run(params, ignore_progress, Cancellation())


def make(model, **wanted):
    return render(model, **wanted).samples


@pytest.mark.parametrize("seconds", [0.25, 0.5, 1.0, 3.3])
def test_whole_frames_cover_the_seconds(toy, seconds):
    samples = make(toy, seconds=seconds)
    frame = toy.card.mel.hop * toy.card.frame_multiple
    assert seconds * toy.sample_rate <= len(samples) < seconds * toy.sample_rate + frame
    assert samples.shape[1] == 1


@pytest.fixture
def calls(monkeypatch):
    """(clips, guidance) of every call of a denoiser; guidance None where it is no input."""
    heard = []
    run = GraphSession.run

    def count(self, feeds, cancellation):
        if "sigma" in feeds:
            heard.append((len(feeds["sigma"]), float(feeds["guidance"][0]) if "guidance" in feeds else None))
        return run(self, feeds, cancellation)

    monkeypatch.setattr(GraphSession, "run", count)
    return heard


def test_guidance_one_calls_the_denoiser_for_the_prompt_alone(toy, calls):
    make(toy, guidance=1.0, steps=3)
    make(toy, guidance=2.0, steps=3)
    assert calls == [(1, None)] * 3 + [(2, None)] * 3


def test_the_card_may_list_its_noise_levels(toy, monkeypatch):
    heard = []
    run = GraphSession.run

    def note(self, feeds, cancellation):
        heard.extend(feeds.get("sigma", [])[:1])
        return run(self, feeds, cancellation)

    monkeypatch.setattr(GraphSession, "run", note)
    listed = replace(toy.card.sampling, sigmas=(1.0, 0.9, 0.4, 0.05, 0.0))
    make(replace(toy, card=replace(toy.card, sampling=listed)), guidance=1.0)
    assert heard == pytest.approx([1.0, 0.9, 0.4, 0.05])


def test_the_card_may_leave_band_statistics_alone(mini, monkeypatch):
    asked = []
    monkeypatch.setattr(LabelAnchors, "sample_band_statistics", lambda *arguments: asked.append(1))
    make(mini, seconds=0.5, steps=1)
    assert asked == [1]
    plain = replace(mini.card.sampling, band_statistics=False)
    make(replace(mini, card=replace(mini.card, sampling=plain)), seconds=0.5, steps=1)
    assert asked == [1]


def test_guidance_that_is_an_input_of_the_graph_costs_one_call(guided_toy, calls):
    make(guided_toy, guidance=3.0, steps=2)
    make(guided_toy, guidance=5.0, steps=2)
    make(guided_toy, guidance=3.0, steps=2, negative="wind")
    assert calls == [(1, 3.0)] * 2 + [(2, 1.0)] * 4


def test_stereo_makes_two_channels_in_one_call(toy, calls):
    wide = make(toy, stereo=0.5, guidance=1.0, steps=2)
    assert calls == [(2, None)] * 2
    assert wide.shape[1] == 2
    assert not np.allclose(wide[:, 0], wide[:, 1])
    assert make(toy, stereo=0.0).shape[1] == 1


@pytest.mark.parametrize("seconds", [0.3, 1.0, 2.345])
def test_a_loop_is_the_nearest_whole_number_of_frames(toy, seconds):
    frames = len(make(toy, seconds=seconds, loop=True)) / toy.card.mel.hop
    assert frames == round(seconds * 16000 / 64)


def test_a_prompt_says_which_label_it_is_near(mini):
    sure, strange = render(mini, prompt="sea waves", seconds=0.5), render(mini, prompt="quantum tax law", seconds=0.5)
    assert sure.nearest == "sea waves"
    assert sure.confidence > 0.9 > 0.5 > strange.confidence
    assert np.isfinite(strange.samples).all() and np.abs(strange.samples).max() > 1e-3


def test_the_seam_of_a_loop_is_as_smooth_as_its_inside(mini):
    for prompt, seed in (("rain", 1), ("helicopter", 2), ("church organ", 3)):
        loop = make(mini, prompt=prompt, seconds=2.0, seed=seed, steps=8, loop=True)[:, 0]
        steps = np.abs(np.diff(loop))
        assert abs(loop[0] - loop[-1]) <= steps.max()
        # From one frame to the next the spectrum moves no more at the seam than it does inside.
        mel = log_mel(np.roll(loop, len(loop) // 2), mini.card.mel)
        moves = np.abs(np.diff(mel, axis=1)).mean(axis=0)
        seam = moves[mel.shape[1] // 2 - 3 : mel.shape[1] // 2 + 3]
        assert seam.max() <= moves.max()


def test_a_negative_prompt_changes_the_sound(toy):
    assert not np.allclose(make(toy), make(toy, negative="wind"))


def test_the_shipped_tower_embeds_words_sensibly(mini):
    def likeness(a, b):
        one, two = (mini.embed_text(text, Cancellation())[0] for text in (a, b))
        return float(one @ two)

    assert likeness("ocean surf", "sea waves") > likeness("ocean surf", "dog barking") + 0.2
    assert likeness("puppy barking", "dog barking") > likeness("puppy barking", "sea waves") + 0.2
    assert likeness("downpour", "rain") > likeness("downpour", "church bells") + 0.2
    vector = mini.embed_text("an entirely new thing", Cancellation())
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-3)


def test_rain_is_not_a_dog(mini):
    """Rain goes on, a bark is events: the level of frames varies more, and the energy lies elsewhere."""
    rain, dog = (
        np.concatenate(
            [make(mini, prompt=prompt, seconds=3.0, seed=seed, steps=8, guidance=3.0)[:, 0] for seed in (1, 2)]
        )
        for prompt in ("rain", "dog barking")
    )

    def unevenness(x):
        frames = np.sqrt((x[: len(x) // 882 * 882].reshape(-1, 882) ** 2).mean(axis=1)) + 1e-6
        return np.log(frames).std()

    assert np.isfinite(rain).all() and np.isfinite(dog).all()
    assert unevenness(dog) > 1.5 * unevenness(rain)


def write_colour(folder, colour):
    path = folder / f"{colour}.png"
    Image.new("RGB", (20, 20), colour).save(path)
    return str(path)


@pytest.fixture
def condition(toy):
    """What a toy that takes pictures is steered by."""

    def condition(prompt="rain", conditioning="text", seed=3, **more):
        params = GenerationParams(prompt, "", 0.5, seed, 1, 1.0, conditioning=conditioning, **more)
        return toy.embed(params, Cancellation())[0]

    return condition


def test_a_blend_goes_from_the_words_to_the_pictures(condition, tmp_path):
    images = (write_colour(tmp_path, "red"),)
    words, picture = condition(), condition(prompt="", images=images, blend=1.0)
    points = [condition(images=images, blend=share) for share in (0.0, 0.25, 0.5, 1.0)]
    np.testing.assert_allclose(points[0], words, atol=1e-6)
    np.testing.assert_array_equal(points[3], picture)
    np.testing.assert_allclose([np.linalg.norm(point) for point in points], 1, atol=1e-5)
    whole = np.arccos(words @ picture)
    assert whole > 0.2
    # Evenly on the shortest way.
    np.testing.assert_allclose([np.arccos(words @ point) for point in points[1:3]], [whole / 4, whole / 2], atol=1e-3)
    np.testing.assert_allclose(
        [np.arccos(picture @ point) for point in points[1:3]], [whole * 3 / 4, whole / 2], atol=1e-3
    )


def test_several_pictures_are_averaged_in_any_order(condition, tmp_path):
    red, blue = (write_colour(tmp_path, colour) for colour in ("red", "blue"))
    one, other = (condition(prompt="", images=(image,), blend=1.0) for image in (red, blue))
    both = condition(prompt="", images=(red, blue), blend=1.0)
    np.testing.assert_allclose(both, (one + other) / np.linalg.norm(one + other), atol=1e-6)
    np.testing.assert_allclose(condition(prompt="", images=(blue, red), blend=1.0), both, atol=1e-6)


def test_a_video_counts_once_however_many_frames_are_taken(condition, tmp_path):
    blue = write_colour(tmp_path, "blue")
    film = str(write_video(tmp_path / "film.mp4", [RED] * 2))
    one, many = (condition(prompt="", images=(film, blue), blend=1.0, frames=n) for n in (1, 8))
    np.testing.assert_allclose(one, many, atol=0.02)
    changing = str(write_video(tmp_path / "changing.mp4"))
    first, all_ = (condition(prompt="", images=(changing,), blend=1.0, frames=n) for n in (1, 9))
    assert first @ all_ < 0.99


def test_a_prior_moves_the_embedding_of_words_as_the_seed_decides(condition, tmp_path):
    straight, through = condition(), condition(conditioning="pd")
    assert np.linalg.norm(through) == pytest.approx(1, abs=1e-5)
    assert straight @ through < 0.99
    np.testing.assert_array_equal(condition(conditioning="pd"), through)
    assert not np.array_equal(condition(conditioning="pd", seed=4), through)
    assert condition(prompt="dog", conditioning="pd") @ through < 0.999
    # The way is the words' alone.
    images = (write_colour(tmp_path, "red"),)
    picture = condition(prompt="", images=images, blend=1.0)
    np.testing.assert_array_equal(condition(images=images, blend=1.0, conditioning="pd"), picture)
    half = condition(images=images, blend=0.5, conditioning="pd")
    assert np.arccos(half @ through) == pytest.approx(np.arccos(half @ picture), abs=1e-3)


@pytest.mark.parametrize(("guidance", "rows"), [(1.0, 3), (1.5, 6)])
def test_a_prior_with_guidance_is_asked_about_two_rows_a_step(toy, monkeypatch, guidance, rows):
    heard = []
    run = GraphSession.run

    def count(self, feeds, cancellation):
        heard.append(len(feeds["noised"]) if "timestep" in feeds else 0)
        return run(self, feeds, cancellation)

    monkeypatch.setattr(GraphSession, "run", count)
    card = replace(toy.card, priors={"pd": replace(toy.card.priors["pd"], guidance=guidance)})
    replace(toy, card=card).embed_prompt("rain", "pd", 3, Cancellation())
    assert sum(heard) == rows


def test_a_picture_that_cannot_be_read_is_reported_by_the_family(condition, tmp_path):
    (tmp_path / "x.png").write_text("no picture")
    with pytest.raises(BadFile, match="image: "):
        condition(prompt="", images=(str(tmp_path / "x.png"),), blend=1.0)


def test_pictures_make_sounds_of_their_own(toy, tmp_path):
    red, blue = (
        make(toy, prompt="", images=(write_colour(tmp_path, colour),), blend=1.0) for colour in ("red", "blue")
    )
    assert red.shape == blue.shape and not np.allclose(red, blue)


@pytest.mark.parametrize(
    ("prompt", "negative", "counts"),
    [
        ("rain", "", (1, 1)),
        ("rain", "dry wet", (1, 1)),
        ("sea " * 90, "dry", (75, 90)),
        ("rain", "sea " * 90, (76, 91)),
        ("sea " * 80, "sea " * 90, (150, 170)),
    ],
)
def test_words_that_are_cut_are_counted_those_to_keep_away_from_too(mini, prompt, negative, counts):
    assert mini.count_heard(GenerationParams(prompt, negative, 1.0, 3, 1, 2.0)) == counts
