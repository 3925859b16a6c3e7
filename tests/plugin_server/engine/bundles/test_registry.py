import gc
import json
import logging
import shutil
import threading

import pytest

from plugin_server.engine.bundles import registry as bundles
from plugin_server.engine.bundles.card import CARD_NAME, SOLVER_NAMES, TOKENIZER_FILES, Lengths
from plugin_server.engine.bundles.card_reader import read_card
from plugin_server.engine.bundles.registry import BundleRegistry, verify_bundle
from plugin_server.engine.families import clipsonic
from plugin_server.engine.sampling.solvers import SOLVERS
from plugin_server.errors import BundleDamaged, UnknownModel
from plugin_server.settings import SHIPPED_BUNDLES
from tests.support.odd_files import ODD_KINDS, make_odd, posix
from tests.support.toys import PICTURE, PRIOR, write_toy


@pytest.fixture
def toy(tmp_path):
    return write_toy(tmp_path)


def edit(place, **changes):
    values = json.loads((place / CARD_NAME).read_text())
    (place / CARD_NAME).write_text(json.dumps(values | changes))


def test_a_bundle_is_found_in_any_case(toy):
    assert BundleRegistry([toy.parent]).find("TOY").card.name == "toy"


def test_a_card_is_read_as_it_was_written(toy):
    card = read_card(toy)
    (toy / CARD_NAME).write_text(card.to_json())
    assert read_card(toy) == card


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"format": 99}, "format 99"),
        ({"mel_mean": [0.0]}, "mel_mean has 1"),
        ({"mel_std": [0.0] * 8}, "not positive"),
        ({"embedding": {"name": "x"}}, "size"),
        ({"surprise": 1}, "surprise"),
        ({"files": {}}, "files lacks 'merges.txt.gz', the tokenizer"),
        ({"frame_multiple": 0}, "frame_multiple is 0, expected a whole number from 1"),
        ({"frame_multiple": 2.5}, "frame_multiple is 2.5"),
        ({"context_length": 2}, "context_length is 2"),
        ({"embedding": {"name": "x", "size": "6"}}, "embedding.size is '6'"),
        ({"sampling": {"solver": "magic"}}, "sampling.solver is 'magic', expected one of euler, dpmpp_2m"),
        ({"sampling": {"parametrisation": "v"}}, "sampling.parametrisation is 'v', expected one of clean"),
        ({"sampling": {"steps": 0}}, "sampling.steps is 0"),
        ({"sampling": {"shift": 0}}, "sampling.shift is 0"),
        ({"sampling": {"sigmas": [1, 0.5, 0.7, 0]}}, "sampling.sigmas are .*expected 2 to 101 falling from 1 to 0"),
        ({"sampling": {"sigmas": [0.9, 0]}}, "sampling.sigmas are"),
        ({"sampling": {"sigmas": [1, "0.5", 0]}}, "sampling.sigmas is .*expected a list, each a number"),
        ({"sampling": {"sigmas": 8}}, "sampling.sigmas is 8, expected a list"),
        ({"sampling": {"sigmas": [1 - i / 200 for i in range(201)]}}, "sampling.sigmas are"),
        ({"sampling": {"band_statistics": 1}}, "sampling.band_statistics is 1, expected true or false"),
        ({"sampling": {"band_statistics_share": 1.5}}, "sampling.band_statistics_share is 1.5, expected 0 to 1"),
        ({"lengths": {"least": 5, "most": 1}}, "lengths are"),
        ({"graphs": {"denoiser": {"file": "x"}}}, "inputs"),
        ({"embedding": None}, "embedding: got None, expected an object"),
        ({"sampling": [1]}, r"sampling: got \[1\], expected an object"),
    ],
)
def test_a_card_that_is_wrong_says_where(toy, changes, word):
    edit(toy, **changes)
    with pytest.raises(BundleDamaged, match=word):
        read_card(toy)


@pytest.fixture
def seeing(tmp_path):
    """A toy that takes pictures and has a prior."""
    return write_toy(tmp_path, pictures=True)


def test_a_card_of_pictures_is_read_as_it_was_written(seeing):
    card = read_card(seeing)
    assert (card.image, card.modalities, dict(card.priors)) == (PICTURE, ("text", "image"), {"pd": PRIOR})
    assert (card.conditionings, card.default_conditioning) == (("text", "pd"), "text")
    (seeing / CARD_NAME).write_text(card.to_json())
    assert read_card(seeing) == card


@pytest.mark.parametrize("folder", [SHIPPED_BUNDLES / "clipsonic-mini", None])
def test_a_card_is_written_back_to_the_json_that_it_was_read_from(seeing, folder):
    text = ((folder or seeing) / CARD_NAME).read_text("utf-8")
    assert read_card(folder or seeing).to_json() == text


def test_the_words_of_the_file_are_mapped_to_those_of_the_code(seeing):
    text = (seeing / CARD_NAME).read_text()
    stored = json.loads(text)
    assert list(stored["lengths"]) == ["least", "most", "usual"]
    assert stored["sampling"]["parametrisation"] == "clean"
    edit(seeing, sampling={"taught_guidance": 4.0, "colour_spread": 0.5}, lengths={"least": 1, "most": 9, "usual": 2})
    card = read_card(seeing)
    assert (card.sampling.prediction_type, card.sampling.distilled_guidance_max) == ("sample", 4.0)
    assert card.sampling.band_statistics_spread == 0.5
    assert card.lengths == Lengths(minimum=1, maximum=9, default=2)


def test_levels_and_statistics_of_a_card_are_written_where_they_are_of_use(seeing):
    edit(seeing, sampling={"sigmas": [1, 0.7, 0.2, 0], "band_statistics": False, "band_statistics_share": 0.5})
    card = read_card(seeing)
    assert (card.sampling.sigmas, card.sampling.band_statistics) == ((1, 0.7, 0.2, 0), False)
    stored = json.loads(card.to_json())["sampling"]
    assert (stored["sigmas"], stored["band_statistics"]) == ([1, 0.7, 0.2, 0], False)
    assert card.sampling.band_statistics_share == stored["band_statistics_share"] == 0.5
    edit(seeing, sampling={})
    keys = {"sigmas", "band_statistics", "band_statistics_share"}
    assert not keys & json.loads(read_card(seeing).to_json())["sampling"].keys()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"lengths": {"minimum": 1}}, "Lengths has no key 'minimum'"),
        ({"label_anchors": None}, "Card has no key 'label_anchors'"),
        ({"known": {"file": "known.npz", "far": 0.1}}, "lacks 'near'"),
        ({"known": {"file": "vocoder.onnx", "far": 0.5, "near": 0.5}}, "far is 0.5 and near 0.5, expected far below"),
        ({"sampling": {"parametrisation": "sample"}}, "parametrisation is 'sample', expected one of clean"),
        (
            {"lengths": {"least": 6, "most": 30.0, "usual": 5.0}},
            r"lengths are Lengths\(least=6, most=30.0, usual=5.0\), expected 0 < least <= usual <= most <= 3600",
        ),
    ],
)
def test_a_card_speaks_the_words_of_the_file_alone(toy, changes, word):
    edit(toy, **changes)
    with pytest.raises(BundleDamaged, match=word):
        read_card(toy)


def test_every_solver_that_a_card_may_name_is_there():
    assert tuple(SOLVERS) == SOLVER_NAMES


def test_cards_from_before_there_were_pictures_take_words_only(toy):
    values = json.loads((toy / CARD_NAME).read_text())
    for name in ("picture", "conditions", "priors", "via"):
        del values[name]
    (toy / CARD_NAME).write_text(json.dumps(values))
    card = read_card(toy)
    assert (card.image, card.modalities, card.conditionings, card.default_conditioning) == (
        None,
        ("text",),
        ("text",),
        "text",
    )


def test_conditionings_of_a_model_that_was_trained_on_images_alone(seeing):
    edit(seeing, conditions=["image"])
    assert (read_card(seeing).conditionings, read_card(seeing).default_conditioning) == (("zs", "pd"), "zs")
    edit(seeing, via="pd")
    assert read_card(seeing).default_conditioning == "pd"


PICTURES = {"size": 16, "mean": [0.5] * 3, "std": [0.25] * 3}


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"conditions": []}, "conditions are"),
        ({"conditions": ["sound"]}, r"conditions are .*, expected some of text, image"),
        ({"picture": None}, "picture: expected beside the graph image_tower"),
        ({"picture": PICTURES | {"size": 4}}, "picture.size is 4, expected a whole number from 8 to 2048"),
        ({"picture": PICTURES | {"size": 16.0}}, "picture.size is 16.0"),
        ({"picture": PICTURES | {"fit": "tile"}}, "picture.fit is 'tile', expected one of crop, squash"),
        ({"picture": PICTURES | {"filter": "x"}}, "picture.filter is 'x', expected one of bicubic, bilinear"),
        ({"picture": PICTURES | {"mean": [0.5]}}, "expected three numbers as mean"),
        ({"picture": PICTURES | {"std": [1, 1, 0]}}, "three above 0 as std"),
        ({"picture": PICTURES | {"zoom": 2}}, "zoom"),
        ({"priors": {"xy": {"graph": "prior_pd"}}}, "priors holds 'xy', expected one of pd, sd"),
        ({"priors": {"pd": {"graph": "nowhere"}}}, "priors.pd.graph is 'nowhere', which is none of the graphs"),
        ({"priors": {"pd": {"graph": "vocoder"}}}, "priors.pd.graph takes log_mel, expected noised, timestep"),
        ({"priors": {"pd": {"graph": "prior_pd", "steps": 0}}}, "priors.pd.steps is 0"),
        ({"priors": {"pd": {"graph": "prior_pd", "steps": 10, "levels": 9}}}, "priors.pd.levels is 9"),
        ({"priors": {"pd": {"graph": "prior_pd", "mean": [0]}}}, "priors.pd.mean has 1 numbers, expected 6"),
        ({"priors": {"pd": {"graph": "prior_pd", "std": [0] * 6}}}, "priors.pd.std holds a number that is not"),
        ({"priors": {"pd": {"graph": "prior_pd", "clip": -1}}}, "priors.pd.clip is -1"),
        ({"via": "sd"}, "via is 'sd', expected one of text, pd"),
    ],
)
def test_a_card_of_pictures_that_is_wrong_says_where(seeing, changes, word):
    edit(seeing, **changes)
    with pytest.raises(BundleDamaged, match=word):
        read_card(seeing)


def test_a_card_without_the_graph_of_its_pictures_is_damaged(toy):
    edit(toy, picture=PICTURES)
    with pytest.raises(BundleDamaged, match="picture: expected beside the graph image_tower, and only there"):
        read_card(toy)


def test_cards_must_list_the_file_that_the_family_reads():
    assert TOKENIZER_FILES["clipsonic"] == (clipsonic.TOKENIZER_FILE,)


def test_a_card_cannot_lead_out_of_its_folder(toy):
    values = json.loads((toy / CARD_NAME).read_text())
    edit(toy, files=values["files"] | {"../secret": "0"})
    with pytest.raises(BundleDamaged, match="secret"):
        read_card(toy)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_a_card_that_is_no_json_object_is_damaged(toy, content):
    (toy / CARD_NAME).write_bytes(content)
    with pytest.raises(BundleDamaged, match=CARD_NAME):
        read_card(toy)


def test_own_bundles_win_over_shipped_ones_of_the_same_name(tmp_path):
    first, second = tmp_path / "own", tmp_path / "shipped"
    write_toy(first)
    write_toy(second)
    assert BundleRegistry((first, second)).find("toy").folder == first / "toy"
    assert BundleRegistry((first, second)).bundles()["toy"].folder == first / "toy"


def test_an_unknown_name_is_reported_with_the_known_ones(toy):
    with pytest.raises(UnknownModel, match=r"'moon'.*toy"):
        BundleRegistry((toy.parent,)).find("moon")


def test_a_damaged_bundle_is_never_replaced_by_another_of_its_name(tmp_path):
    first, second = tmp_path / "own", tmp_path / "shipped"
    write_toy(second)
    edit(write_toy(first), format=99)
    with pytest.raises(BundleDamaged):
        BundleRegistry((first, second)).find("toy")


def test_listing_leaves_a_damaged_bundle_out_and_warns(toy, caplog):
    edit(write_toy(toy.parent, "bad"), format=99)
    with caplog.at_level(logging.WARNING):
        assert list(BundleRegistry((toy.parent,)).bundles()) == ["toy"]
    assert "format 99" in caplog.text


def test_a_folder_that_is_not_called_as_its_card_says_is_damaged(toy, caplog):
    toy.rename(toy.parent / "renamed")
    with pytest.raises(BundleDamaged, match="name is 'toy'; its folder must have that name"):
        BundleRegistry((toy.parent,)).find("renamed")
    with caplog.at_level(logging.WARNING):
        assert BundleRegistry((toy.parent,)).bundles() == {}
    assert "name is 'toy'" in caplog.text
    with pytest.raises(UnknownModel, match="none installed"):
        BundleRegistry((toy.parent,)).find("toy")


def test_a_registry_reads_a_card_again_only_when_it_changed(toy, monkeypatch, caplog):
    read = []
    monkeypatch.setattr(bundles, "read_card", lambda place: read.append(place.name) or read_card(place))
    write_toy(toy.parent, "other")
    edit(write_toy(toy.parent, "bad"), format=99)
    registry = BundleRegistry((toy.parent,))
    for _ in range(3):
        assert sorted(registry.bundles()) == ["other", "toy"]
    assert sorted(read) == ["bad", "other", "toy"]
    assert caplog.text.count("format 99") == 1
    edit(toy, version="0.0.22")
    assert registry.bundles()["toy"].card.version == "0.0.22"
    shutil.rmtree(toy)
    assert list(registry.bundles()) == ["other"]


def test_a_bundle_that_was_read_is_found_again_without_listing_folders(toy, tmp_path, monkeypatch):
    (first := tmp_path / "first").mkdir()
    registry = BundleRegistry((first, toy.parent))
    bundle = registry.find("toy")
    with monkeypatch.context() as patch:
        patch.setattr(BundleRegistry, "_bundle_folders", lambda self: pytest.fail("folders were listed"))
        assert registry.find("toy") is bundle
    edit(toy, version="0.0.22")
    assert registry.find("toy").card.version == "0.0.22"
    write_toy(first, "toy")
    assert registry.find("toy").folder == first / "toy"
    shutil.rmtree(first / "toy")
    assert registry.find("toy").folder == toy
    for name in ("../toy", "", ".", "toy/", "\0"):
        with pytest.raises(UnknownModel):
            registry.find(name)


def test_a_changed_or_missing_file_fails_verification(toy):
    bundle = BundleRegistry((toy.parent,)).find("toy")
    verify_bundle(bundle)
    path = toy / "vocoder.onnx"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleDamaged, match=r"vocoder\.onnx has sha256"):
        verify_bundle(bundle)
    path.unlink()
    with pytest.raises(BundleDamaged, match="cannot be read"):
        verify_bundle(bundle)


def test_the_checksum_stands_for_the_files_and_not_for_the_folder(toy, tmp_path):
    other = tmp_path / "elsewhere" / "toy"
    shutil.copytree(toy, other)
    one, two = BundleRegistry((toy.parent,)).find("toy"), BundleRegistry((other.parent,)).find("toy")
    assert one.checksum() == two.checksum()


def test_the_shipped_bundle_is_whole_and_fits_its_limit():
    bundle = BundleRegistry((SHIPPED_BUNDLES,)).find("clipsonic-mini")
    verify_bundle(bundle)
    size = sum((bundle.folder / name).stat().st_size for name in bundle.card.files)
    assert size <= 120 * 2**20
    assert all(graph.parity < 0.01 for graph in bundle.card.graphs.values())
    assert (bundle.folder / "MODEL_CARD.md").is_file()
    assert (bundle.folder / "ATTRIBUTIONS.md").is_file()


def test_finding_a_bundle_reads_its_card_once_and_a_damaged_one_every_time(toy, monkeypatch):
    read = []
    monkeypatch.setattr(bundles, "read_card", lambda folder: read.append(folder.name) or read_card(folder))
    edit(write_toy(toy.parent, "bad"), format=99)
    registry = BundleRegistry((toy.parent,))
    assert registry.find("toy") is registry.find("toy") is registry.bundles()["toy"]
    assert read.count("toy") == 1
    for _ in range(2):
        with pytest.raises(BundleDamaged, match="format 99"):
            registry.find("bad")
    edit(toy, version="0.0.22")
    assert registry.find("toy").card.version == "0.0.22"
    edit(toy.parent / "bad", format=1)
    assert registry.find("bad").card.name == "bad"


@posix
@pytest.mark.parametrize("kind", ODD_KINDS)
def test_a_card_that_is_no_file_costs_no_other_bundle(toy, kind, caplog):
    make_odd(toy.parent / "bad" / CARD_NAME, kind)
    registry = BundleRegistry((toy.parent,))
    assert list(registry.bundles()) == ["toy"]
    if kind not in ("circle", "nowhere"):
        assert "cannot be read" in caplog.text
        with pytest.raises(BundleDamaged, match="cannot be read"):
            registry.find("bad")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b"9" * 400, "more than 18 digits"),
        (b'{"format": NaN}', "NaN"),
        (b"[]", r"is not a card: got \[\]"),
        (b" " * 2**20 + b"{}", "expected at most 1048576"),
        (b"\xff\xfe{\0}\0", "UTF-16"),
    ],
)
def test_a_card_that_would_harm_costs_no_other_bundle(toy, content, reason, caplog):
    bad = write_toy(toy.parent, "bad")
    (bad / CARD_NAME).write_bytes(content)
    registry = BundleRegistry((toy.parent,))
    for _ in range(2):
        assert list(registry.bundles()) == ["toy"]
        with pytest.raises(BundleDamaged, match=reason):
            registry.find("bad")
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"version": {}},
        {"licence": 7},
        {"description": ["x"]},
        {"description": "x" * 20_000},
        {"family": 3},
        {"mel_mean": "a" * 8},
        {"mel_mean": [None] * 8},
        {"mel_std": [True] * 8},
        {"mel_std": [10**15] * 7 + [-1]},
        {"mel": {"sample_rate": 0}},
        {"mel": {"sample_rate": 44100, "hop": 0}},
        {"mel": {"n_fft": 10**12}},
        {"mel": {"colour": 3}},
        {"embedding": {"name": 3, "size": 6}},
        {"sampling": {"guidance": "3"}},
        {"lengths": {"least": "a"}},
        {"files": [["a", "b"]]},
        {"files": {"a": 3}},
        {"graphs": {"x": 3}},
        {"graphs": {"x": {"file": "x", "inputs": [3], "outputs": []}}},
        {"priors": [3]},
        {"known": 3},
        {"picture": 3},
        {"conditions": [[]]},
        {"via": []},
        {"format": True, "name": []},
    ],
    ids=str,
)
def test_a_card_of_wrong_types_is_damaged_and_nothing_else(toy, changes):
    edit(toy, **changes)
    with pytest.raises(BundleDamaged, match=r"card\.json"):
        read_card(toy)


@pytest.mark.parametrize("name", ["../x", "a/b", "a\\b", "a\x1b[31m", "a\nb", "C:x", "", ".", "x" * 300])
def test_a_card_names_plain_files_only(toy, name):
    values = json.loads((toy / CARD_NAME).read_text())
    edit(toy, files=values["files"] | {name: "0" * 64})
    with pytest.raises(BundleDamaged, match="expected a file beside the card"):
        read_card(toy)


def test_what_is_known_is_returned_at_once_and_looked_at_again_soon(toy, monkeypatch):
    registry = BundleRegistry((toy.parent,))
    assert list(registry.bundles()) == ["toy"]
    write_toy(toy.parent, "other")
    monkeypatch.setattr(bundles, "KNOWN_S", 0.0)
    looked = threading.Event()
    look = registry.bundles
    monkeypatch.setattr(registry, "bundles", lambda: (look(), looked.set()))
    assert list(registry.known()) == ["toy"]
    assert looked.wait(10)
    assert sorted(registry.known()) == ["other", "toy"]


@posix
def test_a_file_that_is_no_file_fails_verification(toy):
    bundle = BundleRegistry((toy.parent,)).find("toy")
    (toy / "vocoder.onnx").unlink()
    make_odd(toy / "vocoder.onnx", "pipe")
    with pytest.raises(BundleDamaged, match="it is a pipe"):
        verify_bundle(bundle)


def test_a_card_that_is_damaged_again_and_again_leaves_nothing_behind(toy, caplog):
    # What pytest records would hold the errors, too.
    caplog.set_level(logging.CRITICAL)
    registry = BundleRegistry([toy.parent])
    for i in range(20):
        (toy / CARD_NAME).write_text(f'{{"name": {i * "1"}5')
        assert registry.bundles() == {}
    gc.collect()
    errors = [str(each) for each in gc.get_objects() if isinstance(each, BundleDamaged)]
    assert not [error for error in errors if str(toy) in error]
