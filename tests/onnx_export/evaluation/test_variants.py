"""Variants side by side: the rows of the table, and what each clip is generated from."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from onnx_export.clipsonic.training.datasets import DataPaths
from onnx_export.data.images import Picture
from onnx_export.evaluation import variants
from onnx_export.evaluation.clip_sets import EvalClip
from onnx_export.evaluation.evaluate import ReferenceWeights
from onnx_export.evaluation.variants import (
    Comparison,
    build_comparisons,
    compare,
    generate_from_captions,
    generate_from_photos,
    table_rows,
)
from tests.support.toys import MEL

LABELS = ["hammering", "hum", "rain"]


def photo(name, group):
    return Picture(Path(name), group, "", "photo", group, "us", "CC0", "me", "ok")


def model(conditionings, image=None):
    lengths = SimpleNamespace(minimum=0.25, maximum=30.0)
    return SimpleNamespace(
        card=SimpleNamespace(conditionings=conditionings, image=image, lengths=lengths), sample_rate=100
    )


@pytest.fixture
def calls(monkeypatch):
    """What is generated, in place of generating it."""
    recorded = []

    def generate(model, prompt, seconds, seed, images=(), conditioning=""):
        recorded.append((prompt, seconds, seed, images, conditioning))
        return np.zeros(round(seconds * 100))

    monkeypatch.setattr(variants, "generate", generate)
    return recorded


COMPARISONS = [
    Comparison(EvalClip(np.zeros(200), "hum", "a low hum", "motors", "r1"), photo("a.png", "x")),
    Comparison(EvalClip(np.zeros(5), "rain", "rain falls", "weather", "r2"), photo("b.png", "y")),
]


def test_rows_are_named_as_in_the_paper():
    models = {
        "clipsonic-iq": model(("zs", "pd")),
        "clipsonic-tta": model(("text",)),
        "clipsonic-clap-tta": model(("text",)),
        "clipsonic-mini": model(("text", "pd"), image=object()),
        "something else": model(("text",)),
    }
    assert [name for name, _ in table_rows(models)] == [
        "CLIPSonic-IQ, from pictures",
        "CLIPSonic-ZS",
        "CLIPSonic-PD",
        "CLIP-TTA",
        "CLAP-TTA",
        "as shipped, from words by text",
        "as shipped, from words by pd",
        "as shipped, from pictures",
    ]
    assert [name for name, _ in table_rows({"clipsonic-tta": models["clipsonic-tta"]})] == ["CLIP-TTA"]


def test_rows_generate_by_the_conditioning_of_their_name(calls):
    for _, generator in table_rows({"clipsonic-iq": model(("zs", "pd", "sd"))}):
        generator(COMPARISONS[:1])
    assert [(prompt, images, conditioning) for prompt, _, _, images, conditioning in calls] == [
        ("", ("a.png",), ""),
        ("a low hum", (), "zs"),
        ("a low hum", (), "pd"),
        ("a low hum", (), "sd"),
    ]


def test_clips_of_captions_are_as_long_as_their_recordings(calls):
    clips = generate_from_captions(model(("text",)), COMPARISONS)
    # The second recording is shorter than what the model makes.
    assert calls == [("a low hum", 2.0, 0, (), ""), ("rain falls", 0.25, 1, (), "")]
    assert [(clip.label, clip.category, clip.recording_id) for clip in clips] == [
        ("hum", "motors", None),
        ("rain", "weather", None),
    ]


def test_clips_of_photos_have_no_words(calls):
    clips = generate_from_photos(model(("text",)), COMPARISONS)
    assert calls == [("", 2.0, 0, ("a.png",), ""), ("", 0.25, 1, ("b.png",), "")]
    assert [clip.prompt for clip in clips] == ["a low hum", "rain falls"]


def test_photos_of_a_label_take_turns(cache, monkeypatch):
    monkeypatch.setattr(variants, "sound_labels_by_group", lambda: {"weather": ["rain"], "engine": ["hum", "rain"]})
    photos = {"like those taught": [photo("1.png", "weather")], "other sources": [photo("2.png", "engine")]}
    comparisons = build_comparisons(cache, LABELS, photos)
    rain = [c.picture.path.name for c in comparisons if c.clip.label == "rain"]
    assert rain == ["1.png", "2.png", "1.png", "2.png"][: len(rain)] and len(rain) > 1
    assert {c.picture.path.name for c in comparisons if c.clip.label == "hum"} == {"2.png"}
    assert not [c for c in comparisons if c.clip.label == "hammering"]


def test_a_folder_without_bundles_is_refused(tmp_path, corpus):
    with pytest.raises(ValueError, match="holds no bundle: export the variants there"):
        compare(tmp_path, DataPaths(corpus, tmp_path / "runs", mel=MEL), ReferenceWeights())
