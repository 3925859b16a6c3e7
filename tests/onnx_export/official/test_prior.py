"""A prior of diffusers: which layouts are read, and what is refused."""

import pytest
import torch

from onnx_export.official.prior import load_prior, prior_graph
from tests.support.official import (
    SIZE,
    write_karlo,
)


def test_priors_that_cannot_be_served_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"prior: .*config\.json cannot be read"):
        load_prior(tmp_path)
    for name, scheduler, changes, message in (
        ("eps", {"prediction_type": "epsilon"}, {}, "prediction_type is 'epsilon', expected 'sample'"),
        ("range", {"variance_type": "learned_range"}, {}, "variance_type is 'learned_range'"),
        ("plain", {}, {"encoder_hid_proj_type": None}, "encoder_hid_proj_type is None, expected 'linear'"),
    ):
        folder = write_karlo(tmp_path / name, scheduler=scheduler, **changes)
        with pytest.raises(ValueError, match=message):
            load_prior(folder)
    folder = write_karlo(tmp_path / "lacks")
    from safetensors.torch import load_file, save_file

    path = folder / "prior" / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    del weights["prd_embedding"]
    save_file(weights, path)
    with pytest.raises(ValueError, match=r"do not fit its config\.json: missing_keys \['prd_embedding'\]"):
        load_prior(folder)
    weights["prd_embedding"] = torch.zeros(1, 1, 32)
    weights["clip_std"] = torch.zeros(1, SIZE)
    save_file(weights, path)
    with pytest.raises(ValueError, match="clip_std that is not positive"):
        load_prior(folder)


def test_a_priors_own_folder_is_enough_and_pickled_weights_are_read(tmp_path):
    folder = write_karlo(tmp_path / "karlo", scheduler={"clip_sample_range": 10.0, "num_train_timesteps": 500})
    beside = load_prior(folder / "prior").spec
    assert (beside.clip, beside.levels) == (10.0, 500)
    from safetensors.torch import load_file

    weights = folder / "prior" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    (folder / "prior").rename(tmp_path / "alone")
    alone = load_prior(tmp_path / "alone").spec
    assert (alone.clip, alone.levels, alone.mean) == (5.0, 1000, beside.mean)


def test_a_prior_has_the_sizes_of_its_configuration(tmp_path):
    prior = load_prior(write_karlo(tmp_path / "karlo"))
    assert (prior.size, prior.projected, prior.width, prior.context_length) == (SIZE, SIZE, SIZE, 77)
    assert (prior.spec.graph, prior.spec.steps, prior.spec.guidance) == ("prior_pd", 25, 4.0)
    assert prior.spec.clip == 5.0 and len(prior.spec.mean) == len(prior.spec.std) == SIZE
    assert min(prior.spec.std) > 0


def test_a_scheduler_that_does_not_clip_is_sampled_without(tmp_path):
    assert load_prior(write_karlo(tmp_path / "karlo", scheduler={"clip_sample": False})).spec.clip == 0.0


def test_a_priors_graph_takes_what_the_text_tower_gives(tmp_path):
    prior = load_prior(write_karlo(tmp_path / "karlo"))
    graph = prior_graph(prior)
    assert graph.input_names == ["noised", "timestep", "projected", "hidden", "mask"]
    mask = graph.example_inputs["mask"]
    assert mask.sum(dim=1).tolist() == [5, 3] and mask.shape == (2, 77)
    with torch.no_grad():
        clean = prior.module(*graph.example_inputs.values())
        # Tokens behind the end mark do not count.
        changed = dict(graph.example_inputs)
        changed["hidden"] = changed["hidden"] + 100 * (1 - mask)[..., None]
        torch.testing.assert_close(prior.module(*changed.values()), clean, atol=1e-4, rtol=1e-4)
    assert clean.shape == (2, SIZE)
