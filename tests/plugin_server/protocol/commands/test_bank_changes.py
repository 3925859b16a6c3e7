"""Changes of banks over real sockets."""

import shutil

import pytest

from plugin_server.errors import ClipsonicError
from plugin_server.settings import Settings
from plugin_server.studio.banks.files import read_bank
from tests.conftest import running_daemon
from tests.plugin_server.protocol.commands.test_banks import ask
from tests.support.outputs import HandOutput, player_on

MINE = """# by hand
[defaults]
seconds = 0.5
model = "toy"

[[slots]]
name = "Rain"
prompt = "rain"

[[slots]]
name = "Kick"
prompt = "kick"
"""


@pytest.fixture(scope="module")
def live(toys, tmp_path_factory):
    """A daemon whose own bank is 'mine'."""
    folder = tmp_path_factory.mktemp("live")
    (folder / "banks").mkdir()
    (folder / "banks" / "mine.toml").write_text(MINE)
    settings = Settings(osc_port=0, folder=folder / "clips", model="toy", bank="mine", device="cpu", threads=1)
    with running_daemon(settings, toys, player_on([HandOutput()])) as running:
        yield running


@pytest.fixture
def banks(live):
    return live.folder.parent / "banks"


@pytest.fixture
def client(live, banks):
    """A client for whom the bank 'mine' is loaded as it was at first."""
    for path in banks.iterdir():
        path.unlink()
    (banks / "mine.toml").write_text(MINE)
    shutil.rmtree(live.folder.parent / "library" / "unsaved-banks", ignore_errors=True)
    shutil.rmtree(live.folder.parent / "library" / "bank-steps", ignore_errors=True)
    with live.client() as client:
        client.ask("/bank/load", "sea", reply="/done")
        client.ask("/bank/load", "mine", reply="/done")
        yield client


def bank_rows(client):
    return {row[1]: row[2:] for row in ask(client, "/bank/list")[:-1]}


def refused(client, address, *arguments):
    with pytest.raises(ClipsonicError) as error:
        client.ask(address, *arguments, reply="/done")
    return str(error.value)


@pytest.mark.parametrize("slot", [1, "1", "Kick", "kICK"])
def test_a_slot_is_cleared_and_brought_back(client, banks, slot):
    empty, done = ask(client, "/bank/clear", slot)
    assert empty == ("/bank.slot", 1, "", "#5f6f7f", "", 37, "", 0.0, "", "")
    assert done == ("/done", "/bank/clear", 1)
    assert bank_rows(client)["mine"] == ("", 2, 1, 1)
    assert refused(client, "/bank/fire", 1) == "slot: got 1, which is empty; /bank/set gives it a prompt"
    assert "slot: got an empty one" in refused(client, "/bank/render", 1)
    assert "slot: got 'Kick'" in refused(client, "/bank/fire", "Kick")
    *slots, done = ask(client, "/bank/undo")
    assert done == ("/done", "/bank/undo", "clear", "mine") and slots[1][2] == "Kick"
    assert ask(client, "/bank/redo")[-1] == ("/done", "/bank/redo", "clear", "mine")
    ask(client, "/bank/save")
    assert [slot.is_empty for slot in read_bank(banks / "mine.toml").slots] == [False, True]
    assert ask(client, "/bank/set", 1, "bell")[0][1:5] == (1, "bell", "#5f6f7f", "bell")


def test_the_slots_of_a_bank_are_sent_before_it_is_done(client, live):
    for path in live.folder.glob("*.wav"):
        path.unlink()
    client.ask("/clip/scan", reply="/done")
    client.ask("/bank/load", "mine", reply="/done")
    with live.client() as other:
        other.ask("/notify", 1, reply="/done")
        client.ask("/bank/render", reply="/queued")
        client.send("/sync", 5)
        for peer in (client, other):
            heard = []
            while not heard or heard[-1][0] != "/synced":
                message = peer.receive(10)
                heard.append((message.address, *message.arguments))
            assert [row[1] for row in heard if row[0] == "/bank.slot" and row[-1]] == [0, 1]
            assert heard[-2][:3] == ("/done", "/bank/render", "mine")
        other.ask("/notify", 0, reply="/done")


def test_a_slot_is_set_by_its_name(client):
    assert ask(client, "/bank/set", "KICK", "boom")[-1] == ("/done", "/bank/set", 1, "boom")
    assert ask(client, "/bank/set", "boom", "boom", 1.0)[-1] == ("/done", "/bank/set", 1, "boom")
    assert ask(client, "/bank/set", "2", "new")[-1] == ("/done", "/bank/set", 2, "new")


def test_a_bank_is_saved_under_a_name_of_words(client, banks):
    path = str(banks / "my-kit.toml")
    assert ask(client, "/bank/save", "My Kit")[-1] == ("/done", "/bank/save", "my-kit", path)
    assert ask(client, "/bank/load", "MY kit")[-1] == ("/done", "/bank/load", "my-kit", 2)
    assert ask(client, "/bank/rename", "My Kit", "Drum Kit!")[-1] == ("/done", "/bank/rename", "my-kit", "drum-kit")
    assert ask(client, "/bank/load")[-1] == ("/done", "/bank/load", "drum-kit", 2)
    assert (
        refused(client, "/bank/rename", "drum-kit", "Sea")
        == "name: got sea, which another bank has; expected a new one"
    )
    *slots, done = ask(client, "/bank/delete", "drum-kit")
    # Another bank is under the pads then.
    assert done == ("/done", "/bank/delete", "drum-kit") and len(slots) == 2
    assert ask(client, "/bank/load")[-1] == ("/done", "/bank/load", "mine", 2)
    assert ask(client, "/bank/undo")[-1] == ("/done", "/bank/undo", "delete", "drum-kit")
    assert "drum-kit" in bank_rows(client)


def test_a_shipped_bank_comes_back(client, banks, live):
    ask(client, "/bank/load", "drums")
    first = ask(client, "/bank/load")[0]
    ask(client, "/bank/set", 0, "boom")
    ask(client, "/bank/save")
    assert (banks / "drums.toml").is_file()
    *slots, done = ask(client, "/bank/restore", "Drums")
    assert done == ("/done", "/bank/restore", "drums") and slots[0] == first
    assert not (banks / "drums.toml").exists()
    assert list((live.folder.parent / "library" / "trash").glob("drums*.toml"))
    assert "bank: got mine, expected one that came with the program" in refused(client, "/bank/restore", "mine")
    assert "bank: got drums, which came with the program" in refused(client, "/bank/delete", "drums")


def test_what_was_written_by_hand_is_in_the_trash_when_it_is_saved_over(client, banks, live):
    ask(client, "/bank/set", 0, "thunder")
    ask(client, "/bank/save")
    kept = [path.read_text() for path in (live.folder.parent / "library" / "trash").glob("mine*.toml")]
    assert MINE in kept
    ask(client, "/bank/undo")
    assert (banks / "mine.toml").read_text() == MINE


def test_loading_the_bank_that_is_loaded_drops_its_edits(client):
    ask(client, "/bank/set", 0, "thunder")
    ask(client, "/bank/next")
    assert ask(client, "/bank/load", "mine")[0][2] == "thunder"
    assert bank_rows(client)["mine"][3] == 1
    assert ask(client, "/bank/load")[0][2] == "thunder"
    assert ask(client, "/bank/load", "Mine")[0][2] == "Rain"
    assert bank_rows(client)["mine"][3] == 0
    ask(client, "/bank/undo")
    assert ask(client, "/bank/load")[0][2] == "thunder"


def test_all_who_follow_hear_of_a_change(client, live):
    with live.client() as other:
        other.ask("/notify", 1, reply="/done")
        client.send("/bank/clear", 0)
        assert other.receive().arguments[:2] == (0, "")
        other.ask("/notify", 0, reply="/done")


@pytest.mark.parametrize(
    ("address", "arguments", "sentence"),
    [
        ("/bank/clear", [], "arguments: got 0, expected a slot"),
        ("/bank/clear", [9], "slot: got 9, expected 0 to 1 in mine"),
        ("/bank/delete", [], "bank: got nothing, expected a name"),
        ("/bank/delete", ["moon"], "bank: got 'moon', expected one of"),
        ("/bank/rename", ["mine"], "arguments: got 1, expected a bank's name and a new one"),
        ("/bank/rename", ["mine", "../up"], "name: got '../up', expected letters"),
        ("/bank/undo", [], "there is nothing to undo"),
        ("/bank/redo", [], "there is nothing to redo"),
    ],
)
def test_what_cannot_be_is_told(client, address, arguments, sentence):
    assert sentence in refused(client, address, *arguments)


def test_edits_outlast_the_daemon(toys, tmp_path):
    (tmp_path / "banks").mkdir()
    (tmp_path / "banks" / "mine.toml").write_text(MINE)
    settings = Settings(osc_port=0, folder=tmp_path / "clips", model="toy", bank="mine", device="cpu", threads=1)
    with running_daemon(settings, toys) as running, running.client() as client:
        ask(client, "/bank/set", 0, "thunder")
        ask(client, "/bank/clear", 1)
    assert (tmp_path / "banks" / "mine.toml").read_text() == MINE
    with running_daemon(settings, toys) as running, running.client() as client:
        first, second, _ = ask(client, "/bank/load")
        assert (first[2], second[2]) == ("thunder", "")
        assert bank_rows(client)["mine"][3] == 1
        ask(client, "/bank/save")
        assert bank_rows(client)["mine"][3] == 0
    assert read_bank(tmp_path / "banks" / "mine.toml").slots[0].request.prompt == "thunder"


def test_attributes_and_models_are_understood_in_any_case(client):
    done = ask(client, "/bank/set", "rain", "thunder", "@SEED", 3, "@Model", "Toy", "@Format", "WAV")[-1]
    assert done == ("/done", "/bank/set", 0, "thunder")
    *_, done = ask(client, "/bank/render", 0)
    assert done[:3] == ("/done", "/bank/render", "mine")
    assert ask(client, "/bank/load")[0][-1].endswith("_s3_t1.wav")


def test_a_slot_that_was_fired_is_sent_before_it_is_done(client, live):
    for number in range(12):
        ask(client, "/bank/set", 0, "rain", "@seed", 100 + number)
        heard = ask(client, "/bank/fire", 0)
        assert [row[:3] for row in heard if row[0] == "/bank.slot" and row[-1]] == [("/bank.slot", 0, "Rain")]
