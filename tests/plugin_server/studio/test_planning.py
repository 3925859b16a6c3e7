import secrets

import pytest

from plugin_server.engine.bundles import registry
from plugin_server.engine.bundles.registry import BundleRegistry
from plugin_server.errors import BadArgument
from plugin_server.studio.planning import check, clip_seconds, plan
from plugin_server.studio.requests import Generate


@pytest.fixture
def card(toys):
    return BundleRegistry((toys,)).find("toy").card


def test_a_plan_makes_every_choice(card):
    params = plan(Generate("rain"), card, 7)
    assert (params.seed, params.seconds) == (7, clip_seconds(Generate("rain"), card))
    assert (params.steps, params.guidance) == (card.sampling.steps, card.sampling.guidance)
    assert plan(Generate("rain"), card, 7) == params


def test_a_plan_has_what_was_asked_for(card):
    request = Generate("rain", 2, "wind", steps=3, guidance=1, loop=True, stereo=1, images=("/a.png",), blend=0.25)
    params = plan(request, card, 7)
    assert (params.prompt, params.seconds, params.negative) == ("rain", 2, "wind")
    assert (params.steps, params.guidance, params.loop, params.stereo) == (3, 1.0, True, 1.0)
    assert (params.images, params.blend, params.frames) == (("/a.png",), 0.25, 1)


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (Generate("rain", 31), r"seconds: got 31, expected 0\.25 to 30 s for toy"),
        (Generate("rain", bars=64, bpm=60), r"bars: got 64 at 60 bpm, which is 256 s, expected 0\.25 to 30 s for toy"),
        (Generate("rain", conditioning="sd"), "via: got sd, expected one of text, pd for toy"),
    ],
)
def test_what_a_model_cannot_make_is_refused_by_the_check_and_the_plan(card, request_, sentence):
    with pytest.raises(BadArgument, match=sentence):
        check(request_, card)
    with pytest.raises(BadArgument, match=sentence):
        plan(request_, card, 7)


def test_a_check_draws_nothing_and_reads_no_card_anew(generator, monkeypatch):
    generator.check(Generate("rain"))
    monkeypatch.setattr(secrets, "randbelow", lambda _: pytest.fail("a seed was drawn"))
    monkeypatch.setattr(registry, "read_card", lambda _: pytest.fail("a card was read"))
    monkeypatch.setattr(BundleRegistry, "_bundle_folders", lambda _: pytest.fail("folders were listed"))
    generator.check(Generate("rain"))
    with pytest.raises(BadArgument, match="seconds"):
        generator.check(Generate("rain", 31))
