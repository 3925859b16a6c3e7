"""Official weights read one by one: towers of open_clip, a prior of diffusers, BigVGAN, a denoiser for them.

All weights are small and random, in the layouts of the official ones.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from onnx_export.graph.export import export_graph
from onnx_export.official.bigvgan import bigvgan_graph, load_bigvgan, without_weight_norm
from onnx_export.official.denoiser import load_denoiser
from onnx_export.official.prior import load_prior
from onnx_export.official.towers import load_towers, tower_graphs
from plugin_server.engine.bundles.card import Embedding
from tests.support.official import (
    BIGVGAN,
    SIZE,
    bigvgan_state,
    write_bigvgan,
    write_denoiser,
    write_karlo,
    write_towers,
)
from tests.support.toys import MEL

PROMPTS = ["sea waves", "a dog barks, twice; 808", ""]
CLOSE = 1e-3
"""Largest relative difference that single precision may make."""


def difference(found: np.ndarray, wanted: torch.Tensor) -> float:
    return float(np.abs(found - wanted.numpy()).max() / np.abs(wanted.numpy()).max())


def run(path: Path, **feeds: torch.Tensor) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {key: value.numpy() for key, value in feeds.items()}), strict=True))


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("tiny-vit", ".pt"), ("tiny-vit", ".safetensors"), ("tiny-resnet", ".pt"), ("tiny-timm", ".pt")],
)
def test_towers_give_what_open_clip_gives(tmp_path, name, suffix):
    model, weights = write_towers(tmp_path, name, suffix)
    towers = load_towers(f"{model}:{weights}")
    assert towers.name == f"open_clip/{name}/{hashlib.sha256(weights.read_bytes()).hexdigest()[:12]}"
    assert (towers.size, towers.width, towers.context_length) == (SIZE, SIZE, 77)
    exported = tower_graphs(towers)
    if suffix == ".safetensors":
        # The same weights by another road: it was enough to load them.
        return
    for graph, what in exported.items():
        assert export_graph(what, tmp_path / f"{graph}.onnx", fp16=False).parity < CLOSE
    import open_clip

    clip = towers.text.model
    with torch.no_grad():
        tokens = open_clip.SimpleTokenizer()(PROMPTS, context_length=77)
        words = run(tmp_path / "text_tower.onnx", tokens=tokens)
        assert difference(words["embedding"], clip.encode_text(tokens, normalize=True)) < CLOSE
        assert difference(words["projected"], clip.encode_text(tokens)) < CLOSE
        assert words["hidden"].shape == (3, 77, SIZE)
        pictures = torch.randn(3, 3, towers.picture.size, towers.picture.size)
        seen = run(tmp_path / "image_tower.onnx", pictures=pictures)
        assert difference(seen["embedding"], clip.encode_image(pictures, normalize=True)) < CLOSE


def test_a_folder_of_the_hub_brings_its_configuration_and_weights(tmp_path):
    model, weights = write_towers(tmp_path, suffix=".safetensors")
    folder = tmp_path / "CLIP-tiny"
    folder.mkdir()
    weights.rename(folder / "open_clip_model.safetensors")
    prepared = {"mean": [0, 0, 0], "std": [1, 1, 1], "interpolation": "bilinear", "resize_mode": "squash"}
    config = {"model_cfg": json.loads(model.read_text()), "preprocess_cfg": prepared}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    towers = load_towers(f"local-dir:{folder}")
    assert towers.name.startswith("open_clip/CLIP-tiny/")
    assert (towers.picture.fit, towers.picture.filter, towers.picture.mean) == ("squash", "bilinear", (0, 0, 0))


def test_an_archive_of_openai_is_read_for_the_model_with_its_activation(tmp_path):
    model, weights = write_towers(tmp_path, "tiny-vit-quickgelu")
    plain = load_towers(f"{model}:{weights}")
    archive = tmp_path / "ViT-tiny.pt"
    tokens, pictures = (what.example_inputs for what in tower_graphs(plain).values())

    class Clip(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.token_embedding = torch.nn.Embedding(49408, SIZE)
            for name, value in torch.load(weights, weights_only=True)["state_dict"].items():
                place = self
                *path, last = name.removeprefix("module.").split(".")
                for part in path:
                    if not hasattr(place, part):
                        place.add_module(part, torch.nn.Module())
                    place = getattr(place, part)
                setattr(place, last, torch.nn.Parameter(value))
            self.register_buffer("input_resolution", torch.tensor(32))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.logit_scale

    torch.jit.script(Clip()).save(archive)
    towers = load_towers(f"{model}:{archive}")
    with torch.no_grad():
        torch.testing.assert_close(towers.text(*tokens.values()), plain.text(*tokens.values()))
        torch.testing.assert_close(towers.image(*pictures.values()), plain.image(*pictures.values()))
    other, _ = write_towers(tmp_path, "tiny-vit")
    with pytest.raises(ValueError, match=r"one of OpenAI's archives, which were taught with the quick GELU"):
        load_towers(f"{other}:{archive}")


@pytest.mark.parametrize("spelling", ["old", "new", "none"])
def test_bigvgan_reads_weight_norm_however_it_is_spelt(tmp_path, spelling):
    mel = torch.randn(1, MEL.n_mels, 9)
    with torch.no_grad():
        found = load_bigvgan(write_bigvgan(tmp_path / spelling, spelling))(mel)
        wanted = load_bigvgan(write_bigvgan(tmp_path / "none", "none") / "bigvgan_generator.pt")(mel)
    assert found.shape == (1, 9 * MEL.hop)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-5)


def test_bigvgans_weights_have_the_names_that_nvidia_gives_them():
    """Those of NVIDIA's own module in this configuration, hashed."""
    names = sorted(bigvgan_state("old"))
    assert len(names) == 270
    expected = "58d23ce8adbe6d3cc5e6ef3498245230721a2ec6a9a6f43c394bbb3584c0fc47"
    assert hashlib.sha256("\n".join(names).encode()).hexdigest() == expected
    assert not any("weight_" in name for name in without_weight_norm(bigvgan_state("old")))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [0.18012, 0.133008, 0.146301, 0.228233, 0.171575, 0.14566, 0.168012, 0.235497]),
        (
            {
                "resblock": "2",
                "activation": "snake",
                "snake_logscale": False,
                "use_tanh_at_final": True,
                "use_bias_at_final": True,
            },
            [0.163491, 0.1194, 0.161809, 0.237299, 0.164881, 0.163727, 0.16023, 0.158074],
        ),
    ],
)
def test_bigvgan_sounds_as_nvidias_own_code_did_with_these_weights(tmp_path, changes, expected):
    network = load_bigvgan(write_bigvgan(tmp_path / "big", **changes))
    mel = np.sin(np.arange(MEL.n_mels * 6).reshape(1, MEL.n_mels, 6) * 0.9).astype(np.float32) * 2 - 4
    with torch.no_grad():
        samples = network(torch.from_numpy(mel))[0]
    np.testing.assert_allclose(samples[::48], expected, atol=2e-6)


def test_bigvgan_becomes_a_graph_of_any_length(tmp_path):
    network = load_bigvgan(write_bigvgan(tmp_path / "big"))
    spec = export_graph(bigvgan_graph(network), tmp_path / "vocoder.onnx", fp16=False)
    assert spec.parity < CLOSE and [output.name for output in spec.outputs] == ["samples"]
    for frames in (1, 7, 50):
        mel = torch.randn(1, MEL.n_mels, frames) * 2 - 5
        with torch.no_grad():
            wanted = network(mel)
        found = run(tmp_path / "vocoder.onnx", log_mel=mel)["samples"]
        assert found.shape == (1, frames * MEL.hop) and difference(found, wanted) < CLOSE


def test_a_published_configuration_is_read():
    """bigvgan_v2_44khz_128band_512x hears what clipsonic-mini makes."""
    from onnx_export.official.bigvgan import BigVGANSize
    from plugin_server.audio.spectral import MelSettings

    size = BigVGANSize(
        num_mels=128,
        n_fft=2048,
        hop_size=512,
        win_size=2048,
        sampling_rate=44100,
        upsample_rates=(8, 4, 2, 2, 2, 2),
        upsample_kernel_sizes=(16, 8, 4, 4, 4, 4),
        upsample_initial_channel=1536,
        resblock_kernel_sizes=(3, 7, 11),
        resblock_dilation_sizes=((1, 3, 5),) * 3,
        activation="snakebeta",
        snake_logscale=True,
        fmin=0,
        fmax=None,
    )
    assert size.mel == MelSettings()


def test_a_denoiser_tells_its_shape_and_what_it_was_taught(tmp_path):
    found = load_denoiser(write_denoiser(tmp_path / "a.pt", "open_clip/X/y", conditions="image", depth=3, context=2))
    size = found.module.size
    assert (size.n_mels, size.width, size.depth, size.heads, size.expansion, size.context) == (8, 64, 3, 2, 2, 2)
    assert found.embedding == Embedding("open_clip/X/y", SIZE) and found.conditions == ("image",)
    old = load_denoiser(write_denoiser(tmp_path / "b.pt", None, heads=1))
    assert old.embedding == Embedding("clipsonic-mini-384", SIZE) and old.conditions == ()
    assert old.module.size.heads == 1


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        ("ViT-Z-1:openai", "towers: got 'ViT-Z-1', expected a JSON file or one of open_clip's models: .*ViT-B-32"),
        ("ViT-B-32", "towers: got 'ViT-B-32', expected MODEL:WEIGHTS; open_clip has for it openai, "),
        ("clipsonic-mini", "towers: got 'clipsonic-mini', expected MODEL:WEIGHTS, as in 'ViT-L-14:openai'"),
        ("ViT-B-32:nonesuch", "'nonesuch' is no file and none of the weights known: openai"),
        ("ViT-B-16-SigLIP:webli", "has the tokenizer .*, but serving has CLIP's own alone"),
        ("roberta-ViT-B-32:laion2b_s12b_b32k", "has the tokenizer roberta-base"),
        ("coca_base:x.pt", "has a vocabulary of 64000"),
    ],
)
def test_towers_that_cannot_be_had_or_served_are_refused(tag, message):
    with pytest.raises(ValueError, match=message):
        load_towers(tag)


def test_files_that_are_not_what_they_should_be_are_refused(tmp_path):
    model, weights = write_towers(tmp_path)
    junk = tmp_path / "junk.pt"
    junk.write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match=r"towers: .*junk\.pt cannot be had"):
        load_towers(f"{model}:{junk}")
    resnet, _ = write_towers(tmp_path, "tiny-resnet")
    with pytest.raises(ValueError, match=r"towers: .*(size mismatch|Missing key)"):
        load_towers(f"{resnet}:{weights}")
    with pytest.raises(ValueError, match=r"denoiser: .*junk\.pt cannot be read as a checkpoint"):
        load_denoiser(junk)
    with pytest.raises(ValueError, match=r"config\.json is no config\.json of BigVGAN"):
        load_bigvgan(junk)
    with pytest.raises(ValueError, match=r"vocoder: .*gone is not there, expected a folder with config\.json"):
        load_bigvgan(tmp_path / "gone")
    for changes, message in (
        ({"activation": "relu"}, "activation is 'relu', expected one of snake, snakebeta"),
        ({"hop_size": 128}, "upsample_rates multiply to 64, expected 128"),
        ({"upsample_kernel_sizes": [15, 8, 4]}, "a kernel of 15 does not make exactly 8 samples"),
        ({"win_size": 128}, "win_size is 128, expected n_fft, 256"),
    ):
        folder = tmp_path / "changed"
        write_bigvgan(folder)
        (folder / "config.json").write_text(json.dumps(BIGVGAN | changes))
        with pytest.raises(ValueError, match=message):
            load_bigvgan(folder)
    (folder / "config.json").write_text(json.dumps(BIGVGAN | {"num_mels": 9}))
    with pytest.raises(ValueError, match=r"bigvgan_generator\.pt does not fit .*conv_pre"):
        load_bigvgan(folder)


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
