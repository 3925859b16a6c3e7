import json
import shutil
import zipfile

import pytest

from plugin_server.engine.bundles.card import CARD_NAME
from plugin_server.engine.bundles.install import install_bundle, remove_bundle
from plugin_server.engine.bundles.registry import BundleRegistry
from plugin_server.errors import BadArgument, BadFile, BundleDamaged, FolderNotWritable, UnknownModel
from tests.support.toys import change_card, write_toy


@pytest.fixture
def source(tmp_path):
    place = write_toy(tmp_path / "source")
    (place / "MODEL_CARD.md").write_text("a toy")
    (place / "notes.py").write_text("no part of it")
    return place


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home" / "bundles"


def zipped(source, top="", name="toy.zip"):
    path = source.parent / name
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(source.iterdir()):
            archive.write(file, f"{top}{file.name}")
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("kind", ["folder", "zip", "zip with a folder"])
def test_a_bundle_is_installed_with_its_documents_and_nothing_else(source, home, kind):
    top = {"zip": "", "zip with a folder": "release-1/"}
    bundle = install_bundle(source if kind == "folder" else zipped(source, top[kind]), home)
    assert bundle == BundleRegistry((home,)).find("toy")
    assert names(home) == ["toy"]
    assert names(bundle.folder) == sorted({*names(source)} - {"notes.py"})


def test_a_bundle_of_the_same_name_is_replaced(source, home):
    install_bundle(source, home)
    (home / "toy" / "stale.txt").write_text("of the old one")
    change_card(source, version="0.0.2")
    assert install_bundle(source, home).card.version == "0.0.2"
    assert not (home / "toy" / "stale.txt").exists()
    assert install_bundle(home / "toy", home).card.version == "0.0.2"
    assert names(home) == ["toy"]


@pytest.mark.parametrize("harm", ["changed", "missing", "bad card", "no card", "cut zip"])
def test_an_incomplete_bundle_is_never_installed_and_the_old_one_stays(source, home, harm):
    install_bundle(source, home)
    if harm == "changed":
        (source / "vocoder.onnx").write_bytes(b"changed")
    elif harm == "missing":
        (source / "vocoder.onnx").unlink()
    elif harm == "bad card":
        change_card(source, mel_std=(0.0,) * 8)
    elif harm == "no card":
        (source / CARD_NAME).unlink()
    path = zipped(source)
    if harm == "cut zip":
        path.write_bytes(path.read_bytes()[:-500])
    words = {"changed": "vocoder.onnx has sha256", "missing": "lacks vocoder.onnx", "bad card": "mel_std",
             "no card": "lacks card.json", "cut zip": "cannot be read as a zip file"}  # fmt: skip
    for broken in [path] if harm == "cut zip" else [path, source]:
        with pytest.raises((BundleDamaged, BadFile), match=words[harm]) as caught:
            install_bundle(broken, home)
        assert str(broken) in str(caught.value) and ".clipsonic-" not in str(caught.value)
    assert names(home) == ["toy"]
    assert list(BundleRegistry((home,)).bundles()) == ["toy"]


def test_damage_within_a_zip_is_reported(source, home):
    path = zipped(source)
    content = bytearray(path.read_bytes())
    content[content.index(b"#version") if b"#version" in content else 200] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises((BundleDamaged, BadFile)):
        install_bundle(path, home)
    assert not (home / "toy").exists()


@pytest.mark.parametrize("name", ["../evil", "a/b", "..", ".hidden", ""])
def test_a_name_cannot_lead_out_of_the_folder(source, home, name):
    values = json.loads((source / CARD_NAME).read_text())
    (source / CARD_NAME).write_text(json.dumps(values | {"name": name}))
    with pytest.raises(BundleDamaged, match="name is"):
        install_bundle(source, home)
    assert names(home.parent) == ["bundles"] and names(home) == []


def test_members_of_a_zip_cannot_lead_out_of_the_folder(source, home):
    path = zipped(source)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../evil.md", "evil")
        archive.writestr("..\\evil.md", "evil")
    install_bundle(path, home)
    assert names(home.parent) == ["bundles"]
    assert [name for name in names(home / "toy") if "/" in name] == []


def test_a_source_that_is_no_bundle_is_reported(tmp_path, home):
    (tmp_path / "text").write_text("no zip")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadFile, match="is not there"):
        install_bundle(tmp_path / "nothing", home)
    with pytest.raises(BadFile, match="zip file"):
        install_bundle(tmp_path / "text", home)
    with pytest.raises(BundleDamaged, match=r"lacks card\.json"):
        install_bundle(tmp_path / "empty", home)


def test_a_folder_that_cannot_be_made_is_reported(source, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderNotWritable, match="folder of bundles"):
        install_bundle(source, tmp_path / "file" / "bundles")


def test_only_own_bundles_are_removed(source, home, tmp_path):
    install_bundle(source, home)
    shipped = tmp_path / "shipped"
    shutil.copytree(source, shipped / "toy")
    remove_bundle("toy", home, [shipped])
    assert names(home) == []
    with pytest.raises(BadArgument, match="'toy', which came with the program"):
        remove_bundle("toy", home, [shipped])
    for name in ("moon", "../shipped/toy", "..", ""):
        with pytest.raises(UnknownModel, match="got"):
            remove_bundle(name, home, [])
    assert (shipped / "toy").is_dir()


def test_a_damaged_bundle_can_be_removed(source, home):
    install_bundle(source, home)
    (home / "toy" / CARD_NAME).write_text("{")
    remove_bundle("toy", home, [])
    assert names(home) == []
