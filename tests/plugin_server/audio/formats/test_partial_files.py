import os
import time

import numpy as np
import pytest

from plugin_server.audio.clip import Clip
from plugin_server.audio.formats.files import write_clip
from plugin_server.audio.formats.partial_files import PART, PART_AGE_S, STAGE_AGE_S, partial_path, remove_stale_parts
from plugin_server.settings import Settings
from plugin_server.studio.generator import check_folder
from plugin_server.studio.library.library import Library
from tests.conftest import running_daemon


def aged(path, age_s):
    then = time.time() - age_s
    os.utime(path, (then, then))
    return path


@pytest.fixture
def left(tmp_path):
    """What lies in a folder after some programs were killed: what goes, and what stays."""
    goes = [".0123456789abcdef.part", ".clipsonic-01234567.part"]
    stays = [".other.part", "0123456789abcdef.part", ".0123456789ABCDEF.part", ".0123456789abcdef.part.wav", "a.part"]
    for name in goes + stays:
        (tmp_path / name).write_text("x")
        aged(tmp_path / name, PART_AGE_S + 60)
    (tmp_path / ".fedcba9876543210.part").write_text("is being written")
    (tmp_path / ".1111111111111111.part").mkdir()
    (tmp_path / ".2222222222222222.part").symlink_to(tmp_path / "a.part")
    return {*stays, ".fedcba9876543210.part", ".1111111111111111.part", ".2222222222222222.part"}


def test_what_is_old_and_ours_goes(tmp_path, left):
    stage = tmp_path / ".clipsonic-abcd_123"
    (stage / "fresh").mkdir(parents=True)
    (stage / "fresh" / "a.onnx").write_text("x")
    young = tmp_path / ".clipsonic-abcd_124"
    young.mkdir()
    aged(stage, STAGE_AGE_S + 60)
    remove_stale_parts(tmp_path)
    assert set(os.listdir(tmp_path)) == left | {young.name}
    remove_stale_parts(tmp_path / "nowhere")


def test_a_scan_removes_them_in_all_folders(tmp_path, left):
    below = tmp_path / "sub" / "deep"
    below.mkdir(parents=True)
    (below / ".aaaaaaaaaaaaaaaa.part").write_text("x")
    aged(below / ".aaaaaaaaaaaaaaaa.part", PART_AGE_S + 60)
    library = Library(tmp_path, tmp_path.parent / "index" / "i.sqlite3")
    library.scan()
    library.close()
    assert set(os.listdir(tmp_path)) == left | {"sub"} and os.listdir(below) == []


def test_our_names_are_those_that_we_write_under(tmp_path, monkeypatch):
    assert PART.fullmatch(partial_path(tmp_path / "x.wav").name)
    names = []
    monkeypatch.setattr(os, "fsync", lambda _: names.extend(os.listdir(tmp_path)))
    write_clip(tmp_path / "x.wav", Clip.mono(np.zeros(10), 8000))
    assert len(names) == 1 and PART.fullmatch(names[0])
    monkeypatch.setattr(type(tmp_path), "unlink", lambda self, **_: names.append(self.name))
    check_folder(tmp_path)
    assert PART.fullmatch(names[1])


def test_a_daemon_that_starts_removes_them_where_banks_are_kept(tmp_path, toys):
    settings = Settings(osc_port=0, folder=tmp_path / "clips", index_folder=tmp_path / "library", model="toy")
    folders = [tmp_path / "banks", tmp_path / "library" / "bank-steps", tmp_path / "library" / "unsaved-banks"]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / ".0123456789abcdef.part").write_text("x")
        aged(folder / ".0123456789abcdef.part", PART_AGE_S + 60)
    with running_daemon(settings, toys) as running, running.client() as client:
        client.ask("/version", reply="/version.reply")
        assert not [path for folder in folders for path in folder.iterdir()]
