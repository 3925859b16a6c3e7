"""A bundle out of official weights and another bundle, made by the command and used by the server's own code.

All weights are small and random, in the layouts of the official ones; what PyTorch, open_clip and diffusers make of
them is what the graphs must give. What does not go together is refused.
"""

import hashlib
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from onnx_export.graph import export as graphs
from onnx_export.official import assemble
from onnx_export.official.assemble import ImportOptions, import_bundle
from onnx_export.official.denoiser import load_denoiser
from onnx_export.official.prior import load_prior
from onnx_export.official.towers import load_towers
from plugin_server.engine.bundles.card_reader import read_card
from plugin_server.engine.bundles.registry import file_sha256, open_bundle, verify_bundle
from plugin_server.engine.families.clipsonic import load
from plugin_server.engine.messages import GenerationParams
from plugin_server.engine.sessions import Cancellation, SessionOptions
from plugin_server.errors import BadArgument, FolderNotWritable
from tests.support.official import (
    SHALLOW,
    SIZE,
    write_base,
    write_bigvgan,
    write_denoiser,
    write_karlo,
    write_towers,
)
from tests.support.toys import MEL, change_card

CLOSE = 1e-3
"""Largest relative difference that single precision may make."""


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Official layouts that go together, and a base."""
    folder = tmp_path_factory.mktemp("sources")
    model, weights = write_towers(folder)
    embedding = f"open_clip/tiny-vit/{hashlib.sha256(weights.read_bytes()).hexdigest()[:12]}"
    return {
        "base": str(write_base(folder / "bundles")),
        "towers": f"{model}:{weights}",
        "prior": write_karlo(folder / "karlo"),
        "vocoder": write_bigvgan(folder / "bigvgan", **SHALLOW),
        "denoiser": write_denoiser(folder / "denoiser.pt", embedding),
    }


@pytest.fixture(scope="module")
def made(sources, tmp_path_factory):
    """All parts at once, in single precision, by the command that a person types."""
    home = tmp_path_factory.mktemp("home")
    flags = [f"--{name}={value}" for name, value in sources.items()]
    command = [sys.executable, "-m", "plugin_server", "models", "import", "official", "--single", *flags]
    ended = subprocess.run([*command, f"--out={home}"], capture_output=True, text=True, timeout=400)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == f"bundle: {home / 'official'}"
    assert [place.name for place in home.iterdir()] == ["official"]
    return open_bundle(home / "official")


@pytest.fixture(scope="module")
def model(made):
    return load(made, SessionOptions(threads=1))


def take(model, prompt="sea waves", **more):
    order = GenerationParams(prompt, "", 0.5, 3, 2, 2.0, **more)
    return model.run(order, lambda fraction, stage: None, Cancellation())


def test_the_bundle_says_what_it_is(made, sources):
    card = made.card
    assert card.embedding.name.startswith("open_clip/tiny-vit/") and card.embedding.size == SIZE
    assert (card.context_length, card.frame_multiple, card.mel_mean[0]) == (77, 4, -3.0)
    assert (card.image.size, card.image.fit, card.image.mean[0]) == (32, "crop", pytest.approx(0.48145466))
    assert card.modalities == ("text", "image") and set(card.priors) == {"pd"}
    prior = card.priors["pd"]
    assert (prior.steps, prior.guidance, prior.levels, prior.clip) == (25, 4.0, 1000, 5.0)
    assert all(graph.parity < CLOSE for graph in card.graphs.values())
    assert set(card.graphs) == {"text_tower", "image_tower", "prior_pd", "denoiser", "vocoder"}
    verify_bundle(made)
    documents = {path.name for path in made.folder.glob("*.md")}
    assert documents == {"SOURCES.md"}
    told = (made.folder / "SOURCES.md").read_text("utf-8")
    assert card.embedding.name in told and "karlo" in told and "base 0.0.1" in told
    assert card.licence.startswith("denoiser, towers, prior, vocoder: under the terms")


def test_words_by_both_ways_and_pictures_become_clips(model, tmp_path):
    picture = tmp_path / "red.png"
    Image.new("RGB", (60, 40), "red").save(picture)
    takes = {
        "straight": take(model, conditioning="text"),
        "prior": take(model, conditioning="pd"),
        "picture": take(model, "", images=(str(picture),), blend=1.0),
        "loop": take(model, loop=True),
    }
    for name, rendering in takes.items():
        samples = rendering.samples
        assert np.isfinite(samples).all() and np.abs(samples).max() > 1e-3, name
        assert len(samples) % MEL.hop == 0
    assert not np.allclose(takes["straight"].samples, takes["prior"].samples[: len(takes["straight"].samples)])


def test_pictures_are_seen_as_open_clip_sees_them(model, sources):
    from open_clip.transform import PreprocessCfg, image_transform_v2

    towers = load_towers(sources["towers"])
    prepare = image_transform_v2(PreprocessCfg(**towers.image.model.visual.preprocess_cfg), is_train=False)
    # Smooth, as photos are: open_clip cuts at whole pixels of what it made smaller, the server anywhere.
    noise = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    pixels = np.asarray(Image.fromarray(noise).resize((640, 480), Image.Resampling.BICUBIC))
    with torch.no_grad():
        wanted = towers.image(prepare(Image.fromarray(pixels))[None])[0].numpy()
    assert model.embed_images([pixels], Cancellation())[0] @ wanted > 0.9999


def test_the_prior_draws_what_diffusers_draws_from_the_same_noise(model, sources, monkeypatch):
    """Every step of `UnCLIPPipeline`'s loop, with guidance, beside the server's words by 'pd'."""
    from diffusers.schedulers import scheduling_unclip

    towers, prior = load_towers(sources["towers"]), load_prior(sources["prior"])
    network, spec = prior.module.network, prior.spec
    seeded = lambda *_: np.random.Generator(np.random.PCG64(5))  # noqa: E731
    monkeypatch.setattr(np.random, "default_rng", seeded)
    found = model.embed_prompt("a dog barks", "pd", 0, Cancellation())[0]
    rng = seeded()
    monkeypatch.setattr(
        scheduling_unclip,
        "randn_tensor",
        lambda shape, **_: torch.from_numpy(rng.standard_normal(tuple(shape)).astype(np.float32)),
    )
    scheduler = scheduling_unclip.UnCLIPScheduler.from_pretrained(sources["prior"] / "prior_scheduler")
    scheduler.set_timesteps(spec.steps)
    import open_clip

    with torch.no_grad():
        tokens = open_clip.SimpleTokenizer()(["", "a dog barks"], context_length=77)
        _, projected, hidden = towers.text(tokens)
        mask = torch.arange(77)[None] <= tokens.argmax(dim=1)[:, None]
        x = torch.from_numpy(rng.standard_normal((1, SIZE)).astype(np.float32))
        for i, level in enumerate(scheduler.timesteps):
            both = network(torch.cat([x, x]), level, projected, hidden, mask).predicted_image_embedding
            plain, wanted = both.chunk(2)
            then = scheduler.timesteps[i + 1] if i + 1 < spec.steps else None
            clean = plain + spec.guidance * (wanted - plain)
            x = scheduler.step(clean, level, x, prev_timestep=then).prev_sample
        drawn = network.post_process_latents(x)[0].numpy()
    assert found @ drawn / np.linalg.norm(drawn) > 1 - 1e-6
    np.testing.assert_allclose(found, drawn / np.linalg.norm(drawn), atol=CLOSE)


def test_what_the_bases_denoiser_knew_is_not_said_of_another(model, made, sources):
    assert read_card(Path(sources["base"])).label_anchors
    assert made.card.label_anchors is None and model.label_anchors is None and not (made.folder / "known.npz").exists()


def test_one_part_alone_leaves_the_others_as_they_are(sources, tmp_path, monkeypatch):
    """In half precision, and as if its weights were too many for one file."""
    monkeypatch.setattr(graphs, "MAX_INLINE_BYTES", 1000)
    base = open_bundle(Path(sources["base"]))
    options = ImportOptions("big", sources["base"], vocoder=sources["vocoder"])
    bundle = import_bundle(options, tmp_path, ())
    assert {"vocoder.onnx", "vocoder.onnx.data"} <= set(bundle.card.files)
    for name in ("text_tower.onnx", "denoiser.onnx", "prior_pd.onnx", "known.npz", "merges.txt.gz"):
        assert bundle.card.files[name] == base.card.files[name]
    assert bundle.card.embedding == base.card.embedding and bundle.card.priors == base.card.priors
    assert {path.name for path in bundle.folder.glob("*.md")} == {"SOURCES.md", "ATTRIBUTIONS.md"}
    assert bundle.card.licence == f"{base.card.licence}; vocoder: under the terms of those who published them"
    # A bundle that was made is a base, too.
    denoiser = write_denoiser(tmp_path / "denoiser.pt", "toy-6", size=6, conditions="text", depth=1)
    again = import_bundle(ImportOptions("again", str(bundle.folder), denoiser=denoiser), tmp_path, ())
    assert again.card.files["vocoder.onnx.data"] == bundle.card.files["vocoder.onnx.data"]
    assert again.card.modalities == ("text",) and again.card.label_anchors == base.card.label_anchors
    (again.folder / "vocoder.onnx.data").write_bytes(b"")
    with pytest.raises(Exception, match=r"vocoder\.onnx\.data has sha256"):
        verify_bundle(again)


@pytest.fixture
def unwritten(monkeypatch):
    """Fails where something is exported though it should have been refused."""
    monkeypatch.setattr(assemble, "_write", lambda *_: pytest.fail("it was not refused"))


def refused(sources, home, message, error=ValueError, **parts):
    kind = {key: Path(value) for key, value in parts.items() if key in ("prior", "vocoder", "denoiser")}
    options = ImportOptions(**{"name": "new", "base": sources["base"]} | parts | kind)
    with pytest.raises(error, match=message):
        import_bundle(options, home, ())
    assert not home.exists() or not any(home.iterdir())


def test_parts_that_do_not_go_together_are_refused(sources, tmp_path, unwritten):
    home, towers = tmp_path / "home", {"towers": sources["towers"]}
    name = "open_clip/tiny-vit/[0-9a-f]{12}"
    refused(
        sources,
        home,
        r"towers: .*tiny-vit\.json:.*tiny-vit\.pt is another embedding than toy-6, which the denoiser of base was "
        r"taught on: train one with `python -m onnx_export train denoiser-iq .* and name it with --denoiser",
        **towers,
    )
    refused(
        sources,
        home,
        rf"denoiser: .*denoiser.pt was taught on {name} of 24 numbers, but the towers of base give toy-6 of 6",
        denoiser=sources["denoiser"],
    )
    other = write_denoiser(tmp_path / "other.pt", "open_clip/ViT-B-32/openai")
    refused(
        sources,
        home,
        r"was taught on open_clip/ViT-B-32/openai .* the towers of --towers give",
        denoiser=other,
        **towers,
    )
    bands = write_denoiser(tmp_path / "bands.pt", "toy-6", size=6, n_mels=80)
    refused(sources, home, r"bands\.pt makes 80 bands, expected 8", denoiser=bands)
    refused(
        sources, home, r"prior: .* makes 24 numbers .* but toy-6 has 6 and .* name the towers", prior=sources["prior"]
    )
    wide = write_karlo(tmp_path / "wide", size=32)
    fitting = towers | {"denoiser": sources["denoiser"]}
    refused(sources, home, r"makes 32 numbers of 32 .* has 24 and 24 for each of 77 tokens", prior=wide, **fitting)
    slow = write_bigvgan(tmp_path / "slow", sampling_rate=8000)
    refused(
        sources,
        home,
        r"vocoder: .* hears 8 bands from 0 to 4000 Hz of sound at 8000 Hz, .* base makes .* 16000 Hz",
        vocoder=slow,
    )


def test_what_cannot_be_asked_for_is_refused(sources, tmp_path, unwritten):
    home = tmp_path / "home"
    refused(sources, home, "at least one of --towers", BadArgument)
    refused(sources, home, "name is '../new'", BadArgument, name="../new", vocoder=sources["vocoder"])
    taken = Path(sources["base"]).parent
    with pytest.raises(BadArgument, match=r"name: got 'base', which is in .* already; choose another"):
        import_bundle(ImportOptions("base", sources["base"], vocoder=sources["vocoder"]), taken, ())
    with pytest.raises(Exception, match="model: got 'nonesuch'"):
        import_bundle(ImportOptions("new", "nonesuch", vocoder=sources["vocoder"]), home, (taken,))


def copy_base(folder, options, base, parts):
    """In place of exporting anything."""
    shutil.copytree(base.folder, folder, dirs_exist_ok=True)
    change_card(folder, name=options.name)


def test_nothing_is_left_of_a_bundle_that_fails(sources, tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setattr(assemble, "_write", copy_base)
    for error, raised in ((ValueError("it makes no sound"), ValueError), (OSError("disk full"), FolderNotWritable)):

        def fail(bundle, error=error):
            raise error

        monkeypatch.setattr(assemble, "run_smoke_test", fail)
        with pytest.raises(raised, match=str(error)):
            import_bundle(ImportOptions("new", sources["base"], vocoder=sources["vocoder"]), home, ())
        assert not any(home.iterdir())


def test_numbers_that_are_none_are_noticed(sources, tmp_path, monkeypatch):
    def break_vocoder(folder, options, base, parts):
        copy_base(folder, options, base, parts)
        graph = onnx.load(folder / "vocoder.onnx")
        spread = next(tensor for tensor in graph.graph.initializer if tensor.name == "spread")
        nothing = np.full(tuple(spread.dims), np.nan, np.float32)
        spread.CopyFrom(onnx.numpy_helper.from_array(nothing, "spread"))
        onnx.save(graph, folder / "vocoder.onnx")
        files = base.card.files | {"vocoder.onnx": file_sha256(folder / "vocoder.onnx")}
        change_card(folder, files=files)

    monkeypatch.setattr(assemble, "_write", break_vocoder)
    with pytest.raises(ValueError, match="clip: the new bundle gives numbers that are none"):
        import_bundle(ImportOptions("new", sources["base"], vocoder=sources["vocoder"]), tmp_path / "home", ())


def test_a_denoiser_of_pictures_alone_is_asked_through_the_prior(sources):
    base = read_card(Path(sources["base"]))
    options = ImportOptions("new", sources["base"], towers="", prior=Path("p"))
    taught = load_denoiser(sources["denoiser"])
    for conditions, via in ((("image",), "pd"), (("text", "image"), "")):
        parts = assemble.Parts(denoiser=replace(taught, conditions=conditions), prior=load_prior(sources["prior"]))
        card = assemble._card(options, base, parts)
        assert (card.preferred_conditioning, card.modalities) == (via, conditions)


def test_the_train_extra_is_asked_for(monkeypatch):
    from plugin_server.commands import models as importing

    found = importing.importlib.util.find_spec
    monkeypatch.setattr(importing.importlib.util, "find_spec", lambda name: None if name == "torch" else found(name))
    with pytest.raises(Exception, match=r'import needs torch: pip install "clipsonic-live\[train\]"'):
        importing.import_model("new", {}, single=False)


def test_a_refusal_is_one_sentence_and_a_status(sources, tmp_path):
    command = [sys.executable, "-m", "plugin_server", "models", "import", "new", "--base", sources["base"]]
    ended = subprocess.run([*command, "--out", str(tmp_path)], capture_output=True, text=True, timeout=200)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("onnx_export: expected at least one of --towers")
    assert "Traceback" not in ended.stderr and not any(tmp_path.iterdir())
