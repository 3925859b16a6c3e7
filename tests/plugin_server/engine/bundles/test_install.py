import contextlib
import json
import shutil
import zipfile
from types import SimpleNamespace

import pytest

from plugin_server.engine.bundles import archive as archive_module
from plugin_server.engine.bundles import install
from plugin_server.engine.bundles.card import CARD_NAME
from plugin_server.engine.bundles.install import install_bundle, remove_bundle
from plugin_server.engine.bundles.registry import BundleRegistry
from plugin_server.errors import BadArgument, BadFile, BundleDamaged, FolderNotWritable, UnknownModel
from tests.support.odd_files import ODD_KINDS, make_odd, posix
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


@posix
@pytest.mark.parametrize("kind", ["pipe", "device", "circle", "socket"])
def test_a_source_that_is_no_file_is_refused_at_once(tmp_path, home, kind):
    make_odd(tmp_path / "odd.zip", kind)
    with pytest.raises(BadFile, match=r"odd\.zip"):
        install_bundle(tmp_path / "odd.zip", home)
    assert not home.exists() or names(home) == []


@posix
@pytest.mark.parametrize("kind", ODD_KINDS)
@pytest.mark.parametrize("name", [CARD_NAME, "vocoder.onnx", "MODEL_CARD.md"])
def test_a_folder_with_what_is_no_file_is_refused_and_documents_are_left_out(source, home, kind, name):
    (source / name).unlink()
    make_odd(source / name, kind)
    if name == "MODEL_CARD.md":
        assert name not in names(install_bundle(source, home).folder)
        return
    with pytest.raises(BundleDamaged, match=r"is a link or no file|has .* bytes"):
        install_bundle(source, home)
    assert names(home) == []


@posix
def test_a_link_is_not_followed(source, home, tmp_path):
    (tmp_path / "secret").write_text("of another person")
    (source / "evil.md").symlink_to(tmp_path / "secret")
    assert "evil.md" not in names(install_bundle(source, home).folder)
    shutil.move(source / "vocoder.onnx", tmp_path / "vocoder.onnx")
    (source / "vocoder.onnx").symlink_to(tmp_path / "vocoder.onnx")
    with pytest.raises(BundleDamaged, match=r"vocoder\.onnx is a link"):
        install_bundle(source, home)


def test_sizes_are_checked_before_anything_is_unpacked(source, home, monkeypatch):
    (source / "vocoder.onnx").write_bytes(bytes(30_000_000))
    path = source.parent / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for file in source.iterdir():
            archive.write(file, file.name)
    with pytest.raises(BundleDamaged, match=r"vocoder\.onnx would be unpacked from 2\d{4} bytes to 30000000"):
        install_bundle(path, home)
    monkeypatch.setattr(install, "MAX_FILE_BYTES", 1_000_000)
    with pytest.raises(BundleDamaged, match=r"vocoder\.onnx has 30000000 bytes, expected at most 1000000"):
        install_bundle(source, home)
    monkeypatch.setattr(install, "MAX_FILE_BYTES", 2**40)
    monkeypatch.setattr(install, "MAX_BUNDLE_BYTES", 20_000_000)
    with pytest.raises(BundleDamaged, match="its files have 30"):
        install_bundle(source, home)
    assert names(home) == []


def test_a_bundle_that_does_not_fit_on_the_disk_is_refused_first(source, home, monkeypatch):
    monkeypatch.setattr(install.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(FolderNotWritable, match="has 1000 bytes left"):
        install_bundle(source, home)
    assert names(home) == []


def test_a_card_that_is_too_large_or_too_deep_is_refused(source, home):
    for content, reason in ((bytes(2**20 + 1), "expected at most 1048576"), (b"[" * 100_000, "nested too deeply")):
        (source / CARD_NAME).write_bytes(content)
        for broken in (source, zipped(source)):
            with pytest.raises(BundleDamaged, match=reason) as caught:
                install_bundle(broken, home)
            assert str(broken) in str(caught.value)
    assert names(home) == []


def test_only_small_documents_with_plain_names_come_along(source, home):
    path = zipped(source)
    with zipfile.ZipFile(path, "a") as archive:
        for name in ("a\\b.md", "\x1b[31m.md", "x" * 300 + ".md", "CON:.md"):
            archive.writestr(name, "evil")
        archive.writestr("large.md", bytes(2**20 + 1))
        for i in range(100):
            archive.writestr(f"many{i:03}.md", "x")
        link = zipfile.ZipInfo("link.md")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    found = [name for name in names(install_bundle(path, home).folder) if name.endswith(".md")]
    assert len(found) == install.MAX_DOCUMENTS
    assert all(name.startswith("many") or name == "MODEL_CARD.md" for name in found)


def test_a_zip_with_a_directory_that_is_too_large_is_refused(source, home, monkeypatch):
    path = zipped(source)
    monkeypatch.setattr(archive_module, "MAX_DIRECTORY_BYTES", 100)
    with pytest.raises(BadFile, match="its directory has"):
        install_bundle(path, home)
    monkeypatch.undo()
    monkeypatch.setattr(archive_module, "MAX_ENTRIES", 2)
    with pytest.raises(BadFile, match="expected at most 2"):
        install_bundle(path, home)


@pytest.mark.parametrize("offset", [6, 8, 10, 24, 28, 34, 42])
def test_a_directory_that_lies_is_an_error_of_ours(source, home, offset):
    path = zipped(source)
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\1\2")
    while at >= 0:
        content[at + offset : at + offset + 2] = b"\xff\xff"
        at = content.find(b"PK\1\2", at + 1)
    path.write_bytes(content)
    with contextlib.suppress(BadFile, BundleDamaged):
        install_bundle(path, home)
    assert not home.exists() or [name for name in names(home) if name != "toy"] == []
