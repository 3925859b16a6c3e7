"""Prompt banks over real sockets, with an output that is rendered by hand."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from plugin_server.audio.playback.player import Player
from plugin_server.client import Client
from plugin_server.errors import ClipsonicError
from plugin_server.protocol.packets import encode_message
from plugin_server.settings import Settings
from plugin_server.studio.banks.files import read_bank
from tests.conftest import running_daemon
from tests.support.outputs import HandOutput, player_on

MINE = """
description = "Three sounds"

[defaults]
seconds = 0.5
colour = "#102030"
model = "{model}"

[[slots]]
name = "Rain"
prompt = "rain"

[[slots]]
name = "Bell"
prompt = "bell"
choke = "bells"

[[slots]]
name = "Hum"
prompt = "hum"
loop = true
note = 60
"""


@pytest.fixture(scope="module")
def live(toys, tmp_path_factory):
    """A daemon with own banks 'mine', 'slow' and 'broken', and the devices that its player finds."""
    devices = [HandOutput()]

    folder = tmp_path_factory.mktemp("live")
    (folder / "banks").mkdir()
    (folder / "banks" / "mine.toml").write_text(MINE.format(model="toy"))
    (folder / "banks" / "slow.toml").write_text(MINE.format(model="slow-toy"))
    (folder / "banks" / "broken.toml").write_text('[[slots]]\nprompt = "x"\nsteps = 1000')
    settings = Settings(osc_port=0, folder=folder / "clips", model="toy", bank="mine", device="cpu", threads=1)
    with running_daemon(settings, toys, player_on(devices)) as running:
        yield running, devices


@pytest.fixture
def output(live):
    devices = live[1]
    devices[0].mixer.stop()
    devices[0].render(2048)
    return devices[0]


@pytest.fixture
def client(live):
    """A client for whom the bank 'mine' is loaded, of which no clip is there."""
    for path in live[0].folder.glob("*.wav"):
        path.unlink()
    with live[0].client() as client:
        client.ask("/clip/scan", reply="/done")
        client.ask("/bank/load", "mine", reply="/done")
        yield client


@pytest.fixture
def editor(client):
    """The client, whose edits of the bank are dropped at the end."""
    yield client
    Path(ask(client, "/bank/save", "scratch")[-1][3]).unlink()


def until_done(client: Client, address: str) -> list[tuple]:
    """Every message up to the answer of an address, which is the last."""
    heard = []
    while True:
        message = client.receive(10)
        heard.append((message.address, *message.arguments))
        if message.address in ("/done", "/fail") and message.arguments[0] == address:
            return heard


def ask(client: Client, address: str, *arguments) -> list[tuple]:
    client.send(address, *arguments)
    return until_done(client, address)


def wait_for_slot(client: Client, number: int) -> tuple:
    """The next message that tells of a slot's clip."""
    while True:
        message = client.receive(10)
        if message.address == "/bank.slot" and message.arguments[0] == number and message.arguments[-1]:
            return message.arguments


def test_banks_are_listed_and_one_that_is_broken_says_why(client):
    *rows, done = ask(client, "/bank/list")
    banks = {row[1]: row[2:] for row in rows}
    assert done == ("/done", "/bank/list", len(rows))
    assert banks["mine"] == ("Three sounds", 3, 1, 0)
    assert banks["sea"][1:] == (16, 0, 0)
    assert "slot 0: steps: got 1000" in banks["broken"][0] and banks["broken"][1:] == (0, 0, 0)


def test_a_bank_that_is_loaded_tells_its_slots(client):
    *slots, done = ask(client, "/bank/load", "mine")
    assert done == ("/done", "/bank/load", "mine", 3)
    assert slots[1] == ("/bank.slot", 1, "Bell", "#102030", "bell", 37, "bells", 0.5, "", "")
    assert ask(client, "/bank/load") == [*slots, done]


def test_banks_follow_each_other_in_a_ring(client):
    names = [row[1] for row in ask(client, "/bank/list")[:-1]]
    after = names[(names.index("mine") + 1) % len(names)]
    assert ask(client, "/bank/next")[-1][2] == after
    assert ask(client, "/bank/previous")[-1][2] == "mine"


def test_a_broken_bank_is_refused_and_the_old_one_stays(client):
    (fail,) = ask(client, "/bank/load", "broken")
    assert fail[2] == "bad_file" and "slot 0: steps" in fail[3]
    (fail,) = ask(client, "/bank/load", "moon")
    assert fail[2] == "unknown_bank"
    assert ask(client, "/bank/load")[-1][2] == "mine"


def test_a_bank_is_rendered_and_the_second_time_nothing_is_made(client, live):
    heard = ask(client, "/bank/render")
    assert heard[0][0] == "/queued" and heard[0][2] == "/bank/render"
    job = heard[0][1]
    assert [message[5:] for message in heard if message[0] == "/clip"] == [(1, 0), (1, 1), (1, 2)]
    progress = [message[2] for message in heard if message[0] == "/progress"]
    assert progress == sorted(progress) and progress[-1] == 1
    assert any(message[3].startswith("Bell: ") for message in heard if message[0] == "/progress")
    assert heard[-1] == ("/done", "/bank/render", "mine", job, 3)
    files = {path.name for path in live[0].folder.glob("*.wav")}
    again = ask(client, "/bank/render")
    assert again[-1][-1] == 0 and not [message for message in again if message[0] == "/clip"]
    assert {path.name for path in live[0].folder.glob("*.wav")} == files
    slots = ask(client, "/bank/load")[:-1]
    assert {slot[-1].rsplit("/", 1)[1] for slot in slots} == files


def test_what_is_rendered_is_told_to_all_who_follow(client, live):
    with live[0].client() as other:
        other.ask("/notify", 1, reply="/done")
        client.send("/bank/render", "Bell")
        assert wait_for_slot(other, 1)[1] == "Bell"
        other.ask("/notify", 0, reply="/done")
    assert len(list(live[0].folder.glob("*.wav"))) == 1


def test_a_request_comes_between_two_slots_and_rendering_is_cancelled(client):
    client.ask("/bank/load", "slow", reply="/done")
    client.send("/bank/render")
    job = client.receive(10).arguments[0]
    client.send("/generate", "sea", 0.5, "@id", "between", "@model", "slow-toy")
    heard = until_done(client, "/generate")
    assert len([m for m in heard if m[0] == "/clip" and m[1] == job]) == 1
    client.send("/cancel", job)
    heard = until_done(client, "/bank/render")
    assert heard[-1][:3] == ("/fail", "/bank/render", "cancelled")


def test_a_slot_with_a_clip_sounds_at_once_and_velocity_is_heard(client, output):
    ask(client, "/bank/render", 1)
    # Looks for clips, too.
    assert {message[1]: message[-1] for message in ask(client, "/bank/load")[:-1]}[1]
    done = ask(client, "/bank/fire", 1)[-1]
    assert done[:3] == ("/done", "/bank/fire", 1) and done[4].endswith(".wav") and done[5] == ""
    loud = np.abs(output.render(24000)).max()
    ask(client, "/bank/fire", "bell", 64)
    soft = np.abs(output.render(24000)).max()
    assert soft == pytest.approx(loud * (64 / 127) ** 2, rel=1e-3)


def test_a_slot_without_a_clip_is_made_and_then_sounds(client, output, live):
    heard = ask(client, "/bank/fire", 0)
    assert {"/queued", "/progress", "/clip", "/done"} <= {message[0] for message in heard}
    assert heard[0][2] == "/bank/fire"
    (path,) = live[0].folder.glob("*.wav")
    assert heard[-1][2:] == (0, heard[-1][3], str(path), heard[0][1])
    assert output.render(24000).any()


def test_a_slot_that_is_hit_thrice_while_it_is_made_is_made_once(client, output, live):
    client.ask("/bank/load", "slow", reply="/done")
    for _ in range(3):
        client.send("/bank/fire", 0)
    until_done(client, "/bank/fire")
    assert output.render(24000).any()
    client.ask("/sync", reply="/synced")
    assert len(list(live[0].folder.glob("*.wav"))) == 1


@pytest.mark.parametrize("address", ["/bank/next", "/bank/previous"])
def test_a_button_does_it_when_it_is_pressed_and_not_when_it_is_let_go(client, address):
    loaded = ask(client, address)[-1][2]
    ask(client, "/bank/load", "mine")
    for press in (1.0, 1, 127, "1"):
        assert ask(client, address, press)[-1][1:3] == (address, loaded)
        ask(client, "/bank/load", "mine")
    for release in (0.0, 0, "0"):
        assert ask(client, address, release)[-1] == ("/done", address, "released")
    assert ask(client, "/bank/load")[-1][2] == "mine"
    for tag in (b"T", b"N", b"I"):
        client.send_packet(encode_message(address)[:-4] + b"," + tag + b"\0\0")
        assert until_done(client, address)[-1][2] == loaded
        ask(client, "/bank/load", "mine")
    client.send_packet(encode_message(address)[:-4] + b",F\0\0")
    assert until_done(client, address)[-1][2] == "released"


def test_a_button_renders_all_and_a_number_or_a_name_one(client, live):
    assert ask(client, "/bank/render", 0.0)[-1] == ("/done", "/bank/render", "released")
    assert ask(client, "/bank/render", 1)[-1][-1] == 1
    assert [path.name[:4] for path in live[0].folder.glob("*.wav")] == ["bell"]
    assert ask(client, "/bank/render", "0")[-1][-1] == ask(client, "/bank/render", '"Rain"')[-1][-1] + 1 == 1
    assert ask(client, "/bank/render", 1.0)[-1][-1] == 1
    assert len(list(live[0].folder.glob("*.wav"))) == 3
    assert ask(client, "/bank/render", "all")[-1][-1] == 0
    assert ask(client, "/bank/render", 2.0)[-1][-1] == 0


def test_a_seed_of_a_slot_may_be_drawn(client):
    client.ask("/bank/set", 0, "rain", 0.5, "@seed", -1, reply="/done")
    heard = ask(client, "/bank/render", 0)
    seed = next(message[6] for message in heard if message[0] == "/clip")
    assert 0 < seed < 2**24
    assert ask(client, "/bank/render", 0)[-1][-1] == 0


def test_a_clip_that_was_thrown_away_is_made_again(client, output, live):
    path = ask(client, "/bank/fire", 0)[-1][4]
    output.render(48000)
    (live[0].folder / path).unlink()
    heard = ask(client, "/bank/fire", 0)
    assert "/clip" in [message[0] for message in heard] and heard[-1][0] == "/done"
    assert output.render(24000).any()


def test_a_clip_that_was_renamed_sounds_and_is_not_made_again(client, output, live):
    path = ask(client, "/bank/fire", 0)[-1][4]
    output.render(48000)
    moved = shutil.move(path, live[0].folder / "by another name.wav")
    heard = ask(client, "/bank/fire", 0)
    assert "/queued" not in [message[0] for message in heard]
    assert heard[-1][4] == str(moved)
    assert output.render(24000).any()


def sounding(output) -> int:
    """The voices that are left when what fades has faded."""
    output.render(4800)
    return output.mixer.n_voices


def test_a_loop_goes_on_until_its_pad_is_hit_again(client, output):
    assert ask(client, "/bank/fire", "Hum")[-1][4]
    assert output.render(60000)[-4800:].any()
    assert ask(client, "/bank/fire", "Hum", 0)[-1][3:] == ("", "", "") and sounding(output) == 1
    assert ask(client, "/bank/fire", "Hum")[-1][3:] == ("", "", "") and sounding(output) == 0
    assert ask(client, "/bank/fire", "Hum")[-1][4] and sounding(output) == 1


def test_a_one_shot_of_a_loop_starts_anew(editor, output):
    ask(editor, "/bank/set", 2, "@mode", "One Shot")
    for _ in range(2):
        ask(editor, "/bank/fire", "Hum")
        assert sounding(output) == 1
    assert output.render(60000)[-4800:].any()


def test_a_gate_ends_with_its_pad(editor, output):
    # Its prompt stays, and so does its clip.
    before = ask(editor, "/bank/load", "mine")[2]
    slot, done = ask(editor, "/bank/set", 2, "@mode", "GATE")
    assert slot == before and done == ("/done", "/bank/set", 2, "Hum")
    assert ask(editor, "/bank/fire", 2, 1.0)[-1][4] and sounding(output) == 1
    assert ask(editor, "/bank/fire", 2, 0.0)[-1][3:] == ("", "", "") and sounding(output) == 0


@pytest.mark.parametrize(
    ("address", "by"),
    [("/bank/stop", 2), ("/bank/stop", "hum"), ("/bank/stop", "all"), ("/stop", "HUM"), ("/stop", "all")],
    ids=str,
)
def test_a_slot_that_sounds_is_stopped_by_its_number_or_name(client, output, address, by):
    ask(client, "/bank/fire", 2)
    assert sounding(output) == 1
    assert ask(client, address, by)[-1][:2] == ("/done", address) and sounding(output) == 0


@pytest.mark.parametrize("by", [3, 4], ids=["id", "path"])
def test_a_slot_s_clip_is_stopped_as_any_other_though_its_file_is_gone(client, output, by):
    fired = ask(client, "/bank/fire", 2)[-1]
    assert sounding(output) == 1
    Path(fired[4]).unlink()
    assert ask(client, "/stop", fired[by])[-1][0] == "/done" and sounding(output) == 0


def test_a_copy_that_sounds_is_stopped_by_the_id(client, live, output):
    fired = ask(client, "/bank/fire", 2)[-1]
    shutil.copy(fired[4], live[0].folder / "copy.wav")
    ask(client, "/clip/scan")
    assert ask(client, "/stop", fired[3])[-1][0] == "/done" and sounding(output) == 0
    ask(client, "/bank/fire", 2)
    assert sounding(output) == 1
    assert ask(client, "/stop", "copy.wav")[-1][0] == "/done" and sounding(output) == 0


def test_slots_wait_for_the_bar_and_the_last_one_is_heard(editor, output):
    ask(editor, "/tempo", 600)
    for number in (0, 2):
        ask(editor, "/bank/render", number)
    ask(editor, "/bank/set", 2, "@at", "Bar", "@mode", "toggle")
    ask(editor, "/play", "last")
    ask(editor, "/stop")
    # A bar of four beats at 600 a minute.
    frames = 19200
    output.render(frames - output.mixer.frame % frames + 1000)
    for gain in (127, 64):
        ask(editor, "/bank/fire", 0, gain, "@at", "bar")
    ask(editor, "/bank/fire", 2)
    assert not output.render(256).any()
    assert ask(editor, "/bank/fire", 2)[-1][3:] == ("", "", "")
    assert output.render(frames)[-1000:].any() and output.mixer.n_voices == 1
    ask(editor, "/bank/fire", 2)
    ask(editor, "/bank/stop", 2)
    ask(editor, "/bank/stop", 0)
    assert not output.render(2 * frames)[-frames:].any()
    ask(editor, "/tempo", 120)


def test_how_a_slot_starts_and_stops_is_saved_and_read_again(editor):
    ask(editor, "/bank/set", 0, "thunder", 0.5, "@mode", "gate", "@at", "beat")
    ask(editor, "/bank/set", 1, "@at", "BAR")
    saved = Path(ask(editor, "/bank/save", "launched")[-1][3])
    assert [(slot.mode, slot.at) for slot in read_bank(saved).slots] == [("gate", "beat"), ("", "bar"), ("", "now")]
    assert [slot.launch_mode for slot in read_bank(saved).slots] == ["gate", "one-shot", "toggle"]
    saved.unlink()


def test_a_pad_that_is_let_go_is_no_shot(client, output):
    assert ask(client, "/bank/fire", 0, 0) == [("/done", "/bank/fire", 0, "", "", "")]
    assert not output.render(4800).any()


def test_a_slot_is_set_and_saved_and_the_others_stay(client, live):
    slot, done = ask(client, "/bank/set", 1, "cow bell", 0.75, "@seed", 9)
    assert slot == ("/bank.slot", 1, "cow bell", "#102030", "cow bell", 37, "bells", 0.75, "", "")
    assert done == ("/done", "/bank/set", 1, "cow bell")
    ask(client, "/bank/next")
    assert ("/bank", "mine", "Three sounds", 3, 0, 1) in ask(client, "/bank/list")
    assert ask(client, "/bank/load", "mine")[1][2] == "cow bell"
    done = ask(client, "/bank/save", "mine-too")[-1]
    saved = live[0].folder.parent / "banks" / "mine-too.toml"
    assert done == ("/done", "/bank/save", "mine-too", str(saved))
    assert read_bank(saved).slots[1].request.prompt == "cow bell"
    assert ask(client, "/bank/load", "mine")[1][2] == "Bell"
    saved.unlink()


def test_a_slot_of_pictures_is_set_made_saved_and_loaded_again(client, live, tmp_path):
    for name, colour in (("a b.png", "red"), ("c.png", "blue")):
        Image.new("RGB", (20, 20), colour).save(tmp_path / name)
    images = (str(tmp_path / "a b.png"), str(tmp_path / "c.png"))
    slot, done = ask(client, "/bank/set", 2, 0.5, "@image", *images, "@frames", 2)
    assert (slot[:3], slot[4]) == (("/bank.slot", 2, "a b, c"), "a b, c")
    assert done == ("/done", "/bank/set", 2, "a b, c")
    heard = ask(client, "/bank/fire", 2)
    assert heard[-1][:3] == ("/done", "/bank/fire", 2)
    assert ask(client, "/bank/fire", 2)[-1][3:] == (*heard[-1][3:5], "")
    ask(client, "/bank/set", 1, "rain", "@image", images[1], "@blend", 0.25, "@via", "pd")
    ask(client, "/bank/save", "mine-too")
    saved = live[0].folder.parent / "banks" / "mine-too.toml"
    rain, both = (slot.request for slot in read_bank(saved).slots[1:])
    assert (rain.prompt, rain.images, rain.blend, rain.conditioning) == ("rain", images[1:], 0.25, "pd")
    assert (both.prompt, both.images, both.frames, both.seconds) == ("", images, 2, 0.5)
    assert ask(client, "/bank/load", "mine-too")[2][8] != ""
    (tmp_path / "c.png").unlink()
    # The others can be used all the same.
    *slots, done = ask(client, "/bank/load", "mine-too")
    assert done == ("/done", "/bank/load", "mine-too", 3) and slots[2][8] == ""
    assert ask(client, "/bank/fire", 0)[-1][0] == "/done"
    failed = ask(client, "/bank/render")[-1]
    assert failed[:3] == ("/fail", "/bank/render", "bad_file") and "c.png is not there" in failed[3]
    saved.unlink()
    ask(client, "/bank/load", "mine")


def test_a_picture_that_is_gone_when_its_slot_is_fired_is_told(client, live, tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (20, 20), "red").save(path)
    ask(client, "/bank/set", 0, 0.5, "@image", str(path))
    path.unlink()
    failed = ask(client, "/bank/fire", 0)[-1]
    assert failed[:3] == ("/fail", "/bank/fire", "bad_file") and "a.png is not there" in failed[3]
    failed = ask(client, "/bank/render", 0)[-1]
    assert failed[:3] == ("/fail", "/bank/render", "bad_file")
    # A path that no file can have breaks nothing.
    ask(client, "/bank/set", 0, 0.5, "@image", f"/{300 * 'x'}.png")
    assert ask(client, "/bank/fire", 0)[-1][:3] == ("/fail", "/bank/fire", "bad_file")
    # What is saved is as the file says again.
    ask(client, "/bank/save", "mine-too")
    (live[0].folder.parent / "banks" / "mine-too.toml").unlink()
    assert ask(client, "/bank/load", "mine")[0][2] == "Rain"


def test_playing_that_fails_is_told_and_the_clip_is_made(client, live):
    running, devices = live
    kept = devices.pop()
    kept.is_alive = False
    try:
        heard = ask(client, "/bank/fire", 0)
        assert heard[-1][:3] == ("/fail", "/bank/fire", "device_unavailable")
        assert "/clip" in [message[0] for message in heard]
        assert len(list(running.folder.glob("*.wav"))) == 1
    finally:
        kept.is_alive = True
        devices.append(kept)


@pytest.mark.parametrize(
    ("address", "arguments", "sentence"),
    [
        ("/bank/fire", [], "slot: got nothing"),
        ("/bank/fire", [3], "slot: got 3, expected 0 to 2 in mine"),
        ("/bank/fire", ["moon"], "slot: got 'moon', expected 0 to 2, or a slot's name in mine"),
        ("/bank/fire", [0, -1], "velocity: got -1, expected 0 to 127, or a float from 0 to 1"),
        ("/bank/fire", [0, 1, "@at", "noon"], "at: got 'noon', expected one of now, beat, bar"),
        ("/bank/stop", [], "slot: got nothing, expected a slot's number or name, or all"),
        ("/bank/stop", [5], "slot: got 5, expected 0 to 2 in mine"),
        ("/bank/set", [0, "@mode", "hold"], "mode: got 'hold', expected one of gate, toggle, one-shot"),
        ("/bank/set", [7, "@mode", "gate"], "slot: got 7, expected 0 to 2 in mine"),
        ("/stop", ["no such thing"], "clip: got 'no such thing'"),
        ("/bank/fire", [0, float("nan")], "velocity: got nan, expected 0 to 127"),
        ("/bank/render", [9], "slot: got 9"),
        ("/bank/render", [1, 2], "arguments: got 2"),
        ("/bank/set", [1], "arguments: got 1, expected a slot and a prompt"),
        ("/bank/set", [9, "x"], "slot: got 9, expected 0 to 3 in mine"),
        ("/bank/set", [1, "x", "@variations", 2], "expected neither: a slot is one clip"),
        ("/bank/save", ["!?"], "name: got '!?', expected letters, digits and spaces, as My Kit"),
        ("/bank/set", ["moon", "x"], "slot: got 'moon', expected 0 to 2, or a slot's name in mine"),
        ("/bank/save", ["../up"], "name: got '../up'"),
    ],
)
def test_what_cannot_be_is_told(client, address, arguments, sentence):
    with pytest.raises(ClipsonicError) as error:
        client.ask(address, *arguments, reply="/done")
    assert sentence in str(error.value)


def test_the_first_shot_needs_no_load(toys, tmp_path):
    (tmp_path / "banks").mkdir()
    (tmp_path / "banks" / "mine.toml").write_text(MINE.format(model="toy"))
    settings = Settings(osc_port=0, folder=tmp_path / "clips", model="toy", bank="mine", device="cpu", threads=1)
    output = HandOutput()
    with running_daemon(settings, toys, Player(lambda name: output)) as running, running.client() as client:
        assert ask(client, "/bank/fire", "rain")[-1][0] == "/done"
    assert output.closed
