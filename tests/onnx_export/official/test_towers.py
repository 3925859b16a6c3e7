"""Towers of open_clip: what they give, which layouts are read, and what is refused."""

import hashlib
import json

import pytest
import torch

from onnx_export.graph.export import export_graph
from onnx_export.official.towers import TokenTable, load_towers, tower_graphs
from tests.support.official import (
    CLOSE,
    SIZE,
    relative_difference,
    run_graph,
    write_towers,
)

PROMPTS = ["sea waves", "a dog barks, twice; 808", ""]


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
        words = run_graph(tmp_path / "text_tower.onnx", tokens=tokens)
        assert relative_difference(words["embedding"], clip.encode_text(tokens, normalize=True)) < CLOSE
        assert relative_difference(words["projected"], clip.encode_text(tokens)) < CLOSE
        assert words["hidden"].shape == (3, 77, SIZE)
        pictures = torch.randn(3, 3, towers.picture.size, towers.picture.size)
        seen = run_graph(tmp_path / "image_tower.onnx", pictures=pictures)
        assert relative_difference(seen["embedding"], clip.encode_image(pictures, normalize=True)) < CLOSE


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


def test_weights_that_are_none_are_refused(tmp_path):
    model, weights = write_towers(tmp_path)
    junk = tmp_path / "junk.pt"
    junk.write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match=r"towers: .*junk\.pt cannot be had"):
        load_towers(f"{model}:{junk}")
    resnet, _ = write_towers(tmp_path, "tiny-resnet")
    with pytest.raises(ValueError, match=r"towers: .*(size mismatch|Missing key)"):
        load_towers(f"{resnet}:{weights}")


def test_a_table_of_tokens_gives_its_rows():
    table = TokenTable(torch.nn.Parameter(torch.arange(6.0).reshape(3, 2)))
    assert table(torch.tensor([[2, 0]])).tolist() == [[[4, 5], [0, 1]]]


def test_graphs_are_traced_with_texts_of_two_lengths(tmp_path):
    model, weights = write_towers(tmp_path)
    graphs = tower_graphs(load_towers(f"{model}:{weights}"))
    assert list(graphs) == ["text_tower", "image_tower"]
    tokens = graphs["text_tower"].example_inputs["tokens"]
    assert tokens.shape == (2, 77) and tokens.argmax(dim=1).tolist() == [2, 4]
    assert graphs["text_tower"].output_names == ["embedding", "projected", "hidden"]
    assert graphs["image_tower"].example_inputs["pictures"].shape == (2, 3, 32, 32)
    assert all(list(axes) == [0] for graph in graphs.values() for axes in graph.dynamic_axes.values())
