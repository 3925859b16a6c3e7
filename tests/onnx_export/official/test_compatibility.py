"""Which parts go together: sizes and names are compared, nothing is loaded."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from onnx_export.official.compatibility import check_denoiser, check_prior, check_vocoder
from plugin_server.engine.bundles.card import Embedding, TensorSpec
from plugin_server.engine.bundles.card_reader import read_card
from tests.support.toys import CONTEXT, MEL, N_EMBEDDING, write_toy

FILE = Path("new.pt")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The card of a toy of the embedding 'toy-6', with pictures and a prior."""
    return read_card(write_toy(tmp_path_factory.mktemp("bundles"), "base", pictures=True))


def towers(name="clip", size=N_EMBEDDING, width=7, context_length=77):
    return SimpleNamespace(name=name, tag="ViT:x", size=size, width=width, context_length=context_length)


def denoiser(name="toy-6", size=N_EMBEDDING, n_mels=MEL.n_mels):
    module = SimpleNamespace(size=SimpleNamespace(n_mels=n_mels))
    return SimpleNamespace(embedding=Embedding(name, size), module=module)


def prior(size=N_EMBEDDING, projected=N_EMBEDDING, width=7, context_length=77):
    return SimpleNamespace(size=size, projected=projected, width=width, context_length=context_length)


def with_outputs(card, outputs):
    """The card with other outputs of its text tower."""
    return replace(card, graphs=card.graphs | {"text_tower": replace(card.graphs["text_tower"], outputs=outputs)})


def test_a_denoiser_goes_with_the_embedding_it_was_trained_on(base):
    check_denoiser(base, None, None, None)
    check_denoiser(base, None, denoiser(), FILE)
    check_denoiser(base, towers("clip"), denoiser("clip"), FILE)
    # Towers of the same embedding as the base's.
    check_denoiser(base, towers("toy-6"), None, None)


def test_a_denoiser_of_another_embedding_is_refused(base):
    expected = r"denoiser: new\.pt was taught on clip of 6 numbers, but the towers of base give toy-6 of 6: name those"
    with pytest.raises(ValueError, match=expected):
        check_denoiser(base, None, denoiser("clip"), FILE)
    with pytest.raises(ValueError, match=r"but the towers of --towers give clip of 9"):
        check_denoiser(base, towers("clip", size=9), denoiser("clip"), FILE)


def test_towers_without_a_denoiser_for_them_are_refused(base):
    expected = r"towers: ViT:x is another embedding than toy-6, which the denoiser of base was taught on: train one"
    with pytest.raises(ValueError, match=expected):
        check_denoiser(base, towers("clip"), None, None)


def test_a_denoiser_of_other_bands_is_refused(base):
    with pytest.raises(ValueError, match=r"denoiser: new\.pt makes 80 bands, expected 8, as base has"):
        check_denoiser(base, None, denoiser(n_mels=80), FILE)


def test_a_prior_takes_what_the_new_towers_give(base):
    check_prior(base, towers(), prior(), FILE)
    for changes in ({"size": 5}, {"projected": 5}, {"width": 5}, {"context_length": 5}):
        with pytest.raises(ValueError, match=r"but clip has 6 and 7 for each of 77 tokens: name the towers"):
            check_prior(base, towers(), prior(**changes), FILE)


def test_towers_without_states_of_tokens_have_no_prior(base):
    with pytest.raises(ValueError, match="but clip has 6 and none for single tokens"):
        check_prior(base, towers(width=None), prior(), FILE)


def test_a_prior_takes_what_the_bases_text_tower_gives(base):
    shapes = {"embedding": ("batch", 6), "projected": ("batch", 6), "hidden": ("batch", CONTEXT, 9)}
    outputs = tuple(TensorSpec(name, "tensor(float)", shape) for name, shape in shapes.items())
    fitting = prior(width=9, context_length=CONTEXT)
    check_prior(with_outputs(base, outputs), None, fitting, FILE)
    # A prior takes both.
    for fewer in (outputs[:1], outputs[:2], outputs[::2]):
        with pytest.raises(ValueError, match="but toy-6 has 6 and none for single tokens"):
            check_prior(with_outputs(base, fewer), None, fitting, FILE)


def test_a_vocoder_takes_the_bases_mel(base):
    check_vocoder(base, MEL, FILE)
    expected = (
        r"vocoder: new\.pt hears 8 bands from 0 to 8000 Hz of sound at 16000 Hz, window 256, hop 32, but base makes "
        r"8 bands from 0 to 8000 Hz of sound at 16000 Hz, window 256, hop 64: choose one of those"
    )
    with pytest.raises(ValueError, match=expected):
        check_vocoder(base, replace(MEL, hop=32), FILE)
