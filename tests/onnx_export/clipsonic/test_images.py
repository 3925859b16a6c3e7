"""Labelled pictures: which may teach, what an image tower learns of them, and how what is made of them is judged."""

import csv
import hashlib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from onnx_export.cli import main
from onnx_export.clipsonic.models import image_tower as towers
from onnx_export.clipsonic.models.image_tower import ImageNetTeacher, ImageTower, ImageTowerSize, embed_pictures
from onnx_export.clipsonic.models.text_tower import TextTower, TextTowerSize
from onnx_export.clipsonic.training.datasets import DataPaths
from onnx_export.clipsonic.training.image_conditioning import ImageDataset, sound_labels_by_group
from onnx_export.clipsonic.training.image_tower import (
    Augmentations,
    ImageTeachers,
    ImageTraining,
    total_loss,
    tower_losses,
    train_image,
)
from onnx_export.data.images import held_out, read_pictures, read_rgb, training_pictures
from onnx_export.data.sounds import open_sound_dataset, read_catalog
from onnx_export.evaluation.evaluate import ReferenceWeights, evaluate_bundle
from onnx_export.evaluation.image_metrics import (
    FROM_NAMES,
    FROM_PICTURES,
    image_tower_metrics,
    select_pictures,
    top_k_accuracy,
)
from onnx_export.evaluation.judges import evaluated_labels
from onnx_export.evaluation.variants import build_comparisons, compare
from onnx_export.training.checkpoint import Checkpoint, load_ema
from onnx_export.training.ema import EMA
from onnx_export.training.run import TrainingRun
from plugin_server.engine.bundles.card import ImageSpec
from tests.support.corpus import write_corpus
from tests.support.toys import MEL as TOY_MEL
from tests.support.toys import write_toy

CPU = torch.device("cpu")
COLOURS = {"rain": "blue", "hammer": "grey", "": "green"}
SMALL = ImageTowerSize("test_efficientnet", ImageSpec(32, (0.5,) * 3, (0.5,) * 3), 24)


def write_pictures(folder, n=60):
    """Pictures of two sounding groups and of something silent, each group of a colour of its own."""
    names = "file,label,caption,kind,source,licence,attribution,split,group,use"
    rows = []
    for i in range(n):
        group = list(COLOURS)[i % 3]
        use = ("ok", "attribution", "copyleft", "research")[i % 4]
        kind = "emoji" if i % 10 == 9 else "photo"
        label = group or "lawn"
        Image.new("RGB", (40 + i % 7, 36), COLOURS[group]).save(folder / f"{i}.png")
        rows.append([f"{i}.png", label, f"a {kind} of {label}", kind, "us", "CC0", "me", "train", group, use])
    with open(folder / "catalog.csv", "w", newline="") as file:
        csv.writer(file).writerows([names.split(","), *rows])
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def pictures(folder):
    return read_pictures(folder)


def test_licences_and_the_split_decide_which_pictures_teach(pictures):
    taught, free = training_pictures(pictures), training_pictures(pictures, "permissive")
    assert {p.use for p in taught} == {"ok", "attribution", "copyleft"} and {p.use for p in free} == {
        "ok",
        "attribution",
    }
    photos = held_out(pictures)
    kept = {p.path for rows in photos.values() for p in rows}
    assert kept and not kept & {p.path for p in taught}
    assert {p.use for p in photos["other sources"]} == {"research"}
    assert all(p.group and p.kind == "photo" for rows in photos.values() for p in rows)
    with pytest.raises(ValueError, match="'none'"):
        training_pictures(pictures, "none")


def test_every_sounding_group_names_sounds_once():
    groups = sound_labels_by_group()
    assert len(groups) > 100 and all(sounds and len(set(sounds)) == len(sounds) for sounds in groups.values())


def test_views_are_parts_of_the_picture_and_cut_outs_lie_on_photos(pictures):
    views = Augmentations([p for p in pictures if p.group == "rain"], 32)
    chosen, seen = views.draw(64, np.random.default_rng(0))
    assert len(chosen) == len(seen) == 64 and all(view.shape == (32, 32, 3) for view in seen)
    # Blue, or grey where the colour was taken away.
    assert all(view[..., 2].mean() >= view[..., 0].mean() for view in seen)


def test_synonyms_are_no_negatives():
    unit = torch.eye(3)
    training = ImageTraining(teacher_weight=0.0)

    def tower_loss(outputs, targets, guesses, training):
        return total_loss(tower_losses(outputs, targets, guesses, training), training)

    twins = torch.stack([unit[0], unit[0], unit[2]])
    assert float(tower_loss(twins, twins, twins, training)) < 0.01
    assert float(tower_loss(twins, twins, twins, replace(training, synonym_threshold=2.0))) > 0.1
    assert float(tower_loss(unit[[1, 2, 0]], unit, unit, training)) > 1


def teacher_file(path, monkeypatch):
    """A file of the right layout, whose checksum is taken for the known one."""
    import timm

    torch.manual_seed(0)
    torch.save(timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict(), path)
    monkeypatch.setattr(towers, "IMAGENET_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def test_the_teacher_is_the_published_file_and_no_other(tmp_path, monkeypatch):
    (tmp_path / "x.pth").write_bytes(b"something else")
    with pytest.raises(ValueError, match="has sha256"):
        ImageNetTeacher(tmp_path / "x.pth")
    teacher = ImageNetTeacher(teacher_file(tmp_path / "t.pth", monkeypatch))
    likely = teacher.probabilities(torch.zeros(1, 3, 64, 64))
    assert likely.shape == (1, 1000) and float(likely.sum()) == pytest.approx(1, abs=1e-4)
    names = teacher.class_names()
    assert len(names) == 1000 and names[0].startswith("tench")


def test_the_image_tower_learns_where_the_texts_are(pictures, tmp_path, monkeypatch):
    """A few steps with the real teacher's layout, on and on; colours alone tell the groups apart."""
    teacher = ImageNetTeacher(teacher_file(tmp_path / "t.pth", monkeypatch))
    size = replace(ImageTowerSize(), picture=ImageSpec(32, (0.5,) * 3, (0.5,) * 3), n_embedding=24)
    texts = TextTower(TextTowerSize(width=32, heads=2, layers=1, n_embedding=24)).eval()
    teachers, run = ImageTeachers(texts, teacher), TrainingRun(tmp_path / "i.pt", CPU, seed=1)
    for steps in (1, 3):
        train_image(pictures[:12], teachers, size, ImageTraining(steps=steps, batch=4), run, pictures[12:20])
    saved = torch.load(tmp_path / "i.pt", weights_only=True)
    stem = "vision.trunk.conv_stem.weight"
    assert saved["step"] == 3
    torch.testing.assert_close(saved["model"][stem], teacher.network.state_dict()["conv_stem.weight"])
    # What all pictures have in common is half taken away, measured without itself.
    tower = ImageTower(size)
    assert load_ema(tmp_path / "i.pt", tower) == 3
    centre = tower.centre.clone()
    tower.centre.zero_()
    found = embed_pictures(tower, [read_rgb(p.path) for p in pictures[:12]])
    np.testing.assert_allclose(centre, 0.5 * found.mean(axis=0), atol=1e-3)
    last = "vision.trunk.blocks.6.0.conv_dw.weight"
    assert not torch.equal(saved["model"][last], teacher.network.state_dict()["blocks.6.0.conv_dw.weight"])


def test_what_the_published_trunk_takes_a_picture_for_has_its_share(tmp_path, monkeypatch):
    teacher = ImageNetTeacher(teacher_file(tmp_path / "t.pth", monkeypatch))
    picture = ImageSpec(64, (0.5,) * 3, (0.5,) * 3)
    places = torch.nn.functional.normalize(torch.randn(1000, 24), dim=-1)
    x = torch.randn(2, 3, 64, 64)
    guessed = teacher.probabilities(x) @ places
    for share in (0.0, 1e6):
        tower = ImageTower(ImageTowerSize(picture=picture, n_embedding=24, zero_shot_share=share)).eval()
        tower.start_from(teacher, places)
        with torch.no_grad():
            likeness = (tower(x) * torch.nn.functional.normalize(guessed, dim=-1)).sum(dim=1)
        assert (likeness > 0.999).all() if share else (likeness < 0.9).all()


@pytest.fixture(scope="module")
def seen(pictures, tmp_path_factory):
    """ImageDataset by an untaught tower."""
    place = tmp_path_factory.mktemp("footage")
    tower = ImageTower(SMALL)
    Checkpoint(place / "image.pt", {"model": tower, "average": EMA(tower)}).save(1)
    return ImageDataset(
        [p for p in pictures if p.kind == "photo"], place / "image.pt", place / "cache", SMALL
    ), tower.eval()


def test_sounds_are_filmed_with_pictures_of_their_group(seen):
    footage, tower = seen
    filmed = footage.by_sound_label()
    assert set(filmed) == {"rain", "rain on roof", "hammering", "blacksmith hammering anvil"}
    rain = [p for p in footage.pictures if p.group == "rain"]
    assert filmed["rain"].shape == (4 * len(rain), 24)
    np.testing.assert_allclose(np.linalg.norm(filmed["rain"], axis=1), 1, atol=1e-4)
    whole = embed_pictures(tower, [read_rgb(rain[0].path)])[0]
    np.testing.assert_allclose(filmed["rain"][0], whole, atol=1e-4)


def test_a_prior_is_taught_on_captions_or_on_the_pairs_of_the_data(seen):
    footage, _ = seen
    texts = TextTower(TextTowerSize(width=32, heads=2, layers=1, n_embedding=24)).eval()
    captioned = footage.caption_pairs(texts)
    assert len(captioned.words) == len(footage.pictures) and captioned.weights.sum() == pytest.approx(1)
    scored = footage.sound_pairs({"rain": np.eye(2, 24, dtype=np.float32), "no such sound": np.eye(1, 24)})
    assert len(scored.words) == 1
    words, pictures = scored.draw(5, np.random.default_rng(0))
    assert words.shape == pictures.shape == (5, 24)
    assert set(words.argmax(axis=1)) <= {0, 1}


class Seer:
    """Sees colours, and knows what the groups are called; or mixes two up."""

    def __init__(self, mixed=False):
        self.names = ["rain", "hammer"][:: -1 if mixed else 1]

    def embed_images(self, pictures, cancellation):
        blue = np.array([p[..., 2].mean() > p[..., 0].mean() + 9 for p in pictures])
        return np.stack([blue, ~blue], axis=1).astype(np.float32)

    def embed_text(self, text, cancellation):
        return np.array([[self.names[0] in text, self.names[1] in text]], np.float32)


def test_the_image_tower_is_judged_by_names_and_captions(pictures):
    sounding = [p for p in pictures if p.group and p.kind == "photo"]
    right, wrong = (image_tower_metrics(Seer(mixed), sounding, ["hammer", "rain"]) for mixed in (False, True))
    names = ("top-1", "caption by picture, first 1", "picture by caption, first 1")
    assert [right[name].mean for name in names] == [1, 1, 1]
    assert [wrong[name].mean for name in names] == [0, 0, 0]
    assert right["top-1"].n == len(sounding) and right["picture by caption, first 1"].n == 2


def test_any_sound_of_a_group_is_right(pictures):
    chosen = select_pictures(pictures, ["rain on roof", "blacksmith hammering anvil", "hammering"])
    assert len(chosen) == 4
    assert {p.group: right for p, right in chosen} == {
        "rain": ("rain on roof",),
        "hammer": ("hammering", "blacksmith hammering anvil"),
    }

    def ranks(rows, labels, recordings):
        return np.array([[row[int(label)] for label in labels] for row in rows])[0][:, None].repeat(4, axis=1)

    classifiers = SimpleNamespace(ranks=ranks)
    shown = [SimpleNamespace(labels=("0", "1")), SimpleNamespace(labels=("0",))]
    found = top_k_accuracy(classifiers, np.array([[7, 0], [3, 0]]), shown)
    assert (found["top-1"].mean, found["top-5"].mean) == (0.5, 1.0)


def test_recordings_are_asked_for_by_photos_that_nobody_was_taught(pictures, tmp_path):
    corpus = write_corpus(tmp_path, 90, TOY_MEL.sample_rate)
    cache = open_sound_dataset(read_catalog(corpus), tmp_path / "cache", TOY_MEL)
    photos = held_out(pictures)
    asked = build_comparisons(cache, evaluated_labels(cache.sounds), photos)
    assert {one.clip.label for one in asked} == {"rain", "hammering"}
    kept = {p.path for rows in photos.values() for p in rows}
    assert all(one.picture.path in kept for one in asked)
    assert all(one.clip.label in sound_labels_by_group()[one.picture.group] for one in asked)


def test_variants_and_pictures_are_judged_and_told(folder, tmp_path, capsys):
    """Toy bundles in the variants' names, through the whole comparison and evaluation."""
    corpus = write_corpus(tmp_path, 90, TOY_MEL.sample_rate)
    bundles = tmp_path / "bundles"
    for name in ("clipsonic-iq", "clipsonic-mini", "clipsonic-tta"):
        write_toy(bundles, name, pictures=name != "clipsonic-tta")
    sources = DataPaths(corpus, tmp_path / "runs", images=folder, mel=TOY_MEL)
    report = compare(bundles, sources, ReferenceWeights())
    rows = report.clips["bands"]
    assert {"CLIPSonic-IQ, from pictures", "CLIPSonic-PD", "CLIP-TTA", "as shipped, from pictures"} <= set(rows)
    assert all("FAD" in rows[name] for name in rows if name != "real test recordings")
    told = evaluate_bundle(bundles / "clipsonic-mini", sources, ReferenceWeights(), n_takes=1, sheet=None)
    assert set(told.image_tower) == {"like those taught", "other sources"}
    assert {f"{FROM_PICTURES}, other sources", f"{FROM_NAMES}, by pd, other sources"} <= set(told.image_clips["bands"])
    assert "| image tower |" in told.table() and "CLIP-TTA" in report.table()
    with pytest.raises(ValueError, match="holds no bundle"):
        compare(tmp_path, sources, ReferenceWeights())
    assert main(["compare", str(tmp_path / "none"), "--corpus", str(corpus)]) == 1
    assert "onnx_export:" in capsys.readouterr().err


def test_pictures_are_drawn_above_their_sounds(folder, tmp_path):
    write_toy(tmp_path, pictures=True)
    assert (
        main(["draw", str(tmp_path / "toy"), str(tmp_path / "p.png"), str(folder / "0.png"), str(folder / "1.png")])
        == 0
    )
    with Image.open(tmp_path / "p.png") as drawn:
        pixels = np.asarray(drawn.convert("RGB"))
    blue = (pixels[..., 2] > 200) & (pixels[..., 0] < 50)
    assert blue[: len(pixels) // 2].sum() > 1000


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["denoiser-iq"], "--steps is needed"),
        (["denoiser-iq", "--config", "none.toml", "--corpus", "x", "--images", "x"], "none.toml"),
        (["denoiser", "--videos", "x", "--steps", "1"], "--videos teach denoiser-iq alone, not denoiser"),
        (["denoiser-iq", "--videos", "x", "--steps", "1"], "--config is needed with --videos"),
        (["prior-pd", "--steps", "1", "--images", "x"], "train text first"),
        (["image", "--steps", "1"], "--imagenet is needed"),
    ],
)
def test_what_training_lacks_is_told(tmp_path, capsys, flags, told):
    assert main(["train", *flags, "--runs", str(tmp_path)]) == 1
    assert told in capsys.readouterr().err
