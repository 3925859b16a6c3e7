"""Another denoiser in a bundle: the graph and its part of the card change, nothing else does."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from onnx_export.clipsonic.configs import DenoiserConfig
from onnx_export.clipsonic.export.bundle import denoiser_size_of
from onnx_export.clipsonic.export.replace import replace_denoiser
from onnx_export.clipsonic.models.denoiser import Denoiser, DenoiserSize
from onnx_export.clipsonic.variants import MINI
from onnx_export.config import read_tables
from onnx_export.training.checkpoint import CheckpointMetadata, save_weights
from plugin_server.engine.bundles.card_reader import read_card
from plugin_server.engine.bundles.registry import Bundle, verify_bundle
from plugin_server.engine.families.clipsonic import load
from plugin_server.engine.messages import GenerationParams
from plugin_server.engine.sessions import Cancellation, SessionOptions
from plugin_server.settings import SHIPPED_BUNDLES
from tests.support.toys import MEL, N_EMBEDDING, write_toy

ROOT = Path(__file__).parents[4]
SIZE = DenoiserSize(n_mels=MEL.n_mels, n_embedding=N_EMBEDDING, patch=2, width=16, depth=1, heads=2)
VARIANT = replace(MINI, version="9.1", sampling=replace(MINI.sampling, steps=2, sigmas=(1.0, 0.5, 0.0)))


@pytest.fixture
def bundle(tmp_path):
    write_toy(tmp_path)
    return tmp_path / "toy"


def checkpoint(folder, size=SIZE, embedding="toy-6"):
    torch.manual_seed(0)
    model = Denoiser(size)
    model.mel_mean.fill_(-3.5)
    for parameter in model.parameters():
        parameter.data.add_(0.02 * torch.randn_like(parameter))
    path, metadata = folder / "denoiser.half.pt", CheckpointMetadata(embedding, ("text",), heads=2)
    facts = {"step": 5, "metadata": {"embedding": metadata.embedding, "conditions": ["text"], "heads": 2}}
    save_weights(path, facts, {"count": 5, "state": model.state_dict()})
    return path


def test_the_denoiser_changes_and_nothing_else(bundle, tmp_path):
    before = read_card(bundle)
    card = replace_denoiser(bundle, checkpoint(tmp_path), VARIANT, 0.04)
    assert card == read_card(bundle)
    assert (card.version, card.sampling, card.frame_multiple) == ("9.1", VARIANT.sampling, 2)
    assert card.mel_mean == (-3.5,) * MEL.n_mels
    changed = {name for name in card.files if card.files[name] != before.files[name]}
    assert changed == {"denoiser.onnx"} and set(card.files) == set(before.files)
    assert denoiser_size_of(bundle / "denoiser.onnx") == replace(SIZE, filter=True)
    assert not list(bundle.glob("*.part"))
    whole = Bundle(bundle, card)
    verify_bundle(whole)
    params = GenerationParams("rain", "", 0.5, 1, 2, 1.0)
    assert load(whole, SessionOptions()).run(params, lambda *_: None, Cancellation()).samples.any()


def test_without_a_variance_there_is_no_filter(bundle, tmp_path):
    replace_denoiser(bundle, checkpoint(tmp_path), VARIANT)
    assert denoiser_size_of(bundle / "denoiser.onnx") == SIZE


def test_what_does_not_fit_leaves_the_bundle_as_it_was(bundle, tmp_path):
    files = {path.name: path.read_bytes() for path in bundle.iterdir()}
    with pytest.raises(ValueError, match="was trained on other-6, expected toy-6"):
        replace_denoiser(bundle, checkpoint(tmp_path, embedding="other-6"), VARIANT)
    with pytest.raises(ValueError, match="has a skip, expected one without"):
        replace_denoiser(bundle, checkpoint(tmp_path, replace(SIZE, skip=True)), VARIANT, 0.04)
    (tmp_path / "text.pt").write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match="cannot be read as a checkpoint"):
        replace_denoiser(bundle, tmp_path / "text.pt", VARIANT)
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == files


def test_the_configuration_to_go_on_from_what_ships_has_its_shape():
    config = read_tables(ROOT / "configs" / "clipsonic-mini-shipped.toml", DenoiserConfig)
    assert denoiser_size_of(SHIPPED_BUNDLES / "clipsonic-mini" / "denoiser.onnx") == config.denoiser
