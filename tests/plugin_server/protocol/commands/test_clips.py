"""The library over real sockets, with a daemon on toys."""

import re
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from plugin_server.audio.formats.files import read_clip, read_recipe
from plugin_server.client import Client
from plugin_server.protocol.commands import clips, thread
from plugin_server.settings import Settings
from plugin_server.studio import seeds
from plugin_server.studio.library.scan import ScanResult
from tests.conftest import Running, running_daemon
from tests.support.recipes import write_made


@pytest.fixture(scope="module")
def daemon(toys, tmp_path_factory) -> Iterator[Running]:
    """A daemon of this module's own: others count clips too."""
    folder = tmp_path_factory.mktemp("shelf") / "clips"
    with running_daemon(Settings(osc_port=0, folder=folder, model="toy", device="cpu", threads=1), toys) as running:
        yield running


@pytest.fixture(autouse=True)
def empty_folder(daemon):
    """Every test begins with no clips and no steps."""
    yield
    for path in daemon.folder.rglob("*.wav"):
        path.unlink()
    daemon.daemon.library.scan()
    daemon.daemon.library._index.write(lambda connection: connection.execute("DELETE FROM steps"))


def ask(client, address, *arguments):
    """All replies up to /done or /fail."""
    client.send(address, *arguments)
    heard = [client.receive()]
    while heard[-1].address not in ("/done", "/fail"):
        heard.append(client.receive())
    return heard


def make(client, prompt="sea waves", **attributes):
    return [m.arguments for m in client.generate(prompt, 0.25, **attributes) if m.address == "/clip"]


def test_a_clip_is_in_the_library_as_soon_as_it_is_announced(daemon):
    with daemon.client() as client:
        client.send("/generate", "sea waves", 0.25, "@seed", 42, "@variations", 2)
        while (message := client.receive()).address != "/clip":
            pass
        _, clip_id, path, *_ = message.arguments
        with daemon.client() as other:
            info, done = ask(other, "/clip/info", clip_id)
        while client.receive().address != "/done":
            pass
    *head, made, prompt, tags = info.arguments
    assert info.address == "/clip.info"
    assert head == [clip_id, path, 0.25, 0, "here", 42, 1, "toy"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", made)
    assert (prompt, tags) == ("sea waves", "")
    assert done.arguments == ("/clip/info", clip_id)
    assert read_recipe(daemon.folder / "sea-waves_0.25s_s42_t1.wav")["id"] == clip_id


def test_lists_begin_with_their_counts(daemon):
    with daemon.client() as client:
        ids = [clip[1] for clip in make(client, variations=3, seed=1)]
        first, *infos, done = ask(client, "/clip/list", 2)
        assert (first.address, first.arguments) == ("/clip.list", (2, 3, 0))
        assert [info.arguments[0] for info in infos] == ids[:0:-1]
        assert done.arguments == ("/clip/list", 2)
        first, info, done = ask(client, "/clip/list", 2.0, 2.0)
        assert (first.arguments, info.arguments[0]) == ((1, 3, 2), ids[0])


def test_words_are_searched(daemon):
    with daemon.client() as client:
        make(client, "sea waves")
        make(client, "kick 808")
        assert ask(client, "/clip/search", "wav", "se")[0].arguments == (1, 1, 0)
        assert ask(client, "/clip/search", "kick", 808)[0].arguments == (1, 1, 0)
        assert ask(client, "/clip/search", "sea waves", "@count", 1, "@from", 1)[0].arguments == (0, 1, 1)
        assert [m.address for m in ask(client, "/clip/search", "tiger")] == ["/clip.list", "/done"]


def test_a_clip_is_named_by_its_path_however_that_is_written(daemon):
    with daemon.client() as client:
        (clip,) = make(client, "my clip", seed=3)
        path = Path(clip[2])
        for name in (path.as_uri(), f'"{path}"', f"'{path.name}'", '"last"', f"file://localhost{quote(str(path))}"):
            assert ask(client, "/clip/info", name)[0].arguments[:2] == (clip[1], str(path))


def test_stars_and_tags(daemon):
    with daemon.client() as client:
        make(client)
        assert ask(client, "/clip/star", "last")[0].arguments[3] == 1
        assert ask(client, "/clip/tag", "last", "dark", "night")[0].arguments[-1] == "dark night"
        assert ask(client, "/clip/search", "starred", "dark")[0].arguments == (1, 1, 0)
        assert ask(client, "/clip/star", "last", 0)[0].arguments[3] == 0


def test_undo_and_redo_over_takes_a_deletion_and_a_star(daemon):
    with daemon.client() as client:
        paths = [daemon.folder / clip[2] for clip in make(client, variations=2, seed=5)]
        content = [path.read_bytes() for path in paths]
        ask(client, "/clip/star", paths[0].name)
        info, done = ask(client, "/clip/delete", str(paths[1]))
        assert (info.arguments[4], done.arguments) == ("deleted", ("/clip/delete", info.arguments[0]))
        assert [path.exists() for path in paths] == [True, False]
        kinds = [ask(client, "/clip/undo")[-1].arguments for _ in range(3)]
        assert kinds == [("/clip/undo", "delete", 1), ("/clip/undo", "star", 1), ("/clip/undo", "generate", 2)]
        assert not any(path.exists() for path in paths)
        assert ask(client, "/clip/undo")[0].arguments[1] == "nothing_to_undo"
        *infos, done = ask(client, "/clip/redo")
        assert (done.arguments, [info.arguments[4] for info in infos]) == (("/clip/redo", "generate", 2), ["here"] * 2)
        assert [path.read_bytes() for path in paths] == content


def test_again_is_the_same_request_with_another_seed(daemon):
    with daemon.client() as client:
        (clip,) = make(client, seed=7, steps=3, loop=1)
        client.send("/clip/again", clip[1])
        heard = [client.receive()]
        while heard[-1].address != "/done":
            heard.append(client.receive())
        assert heard[0].arguments[1] == heard[-1].arguments[0] == "/generate"
        (other,) = [m.arguments for m in heard if m.address == "/clip"]
        before, after = (read_recipe(daemon.folder / found[2]) for found in (clip, other))
        assert {key for key in before if before[key] != after[key]} == {"seed", "id"}
        client.send("/clip/again", clip[1], 7)
        while (message := client.receive()).address != "/clip":
            pass
        assert message.arguments[1] == clip[1]
        assert (read_clip(daemon.folder / message.arguments[2]).samples == read_clip(Path(clip[2])).samples).all()
        while client.receive().address != "/done":
            pass


def test_a_scan_tells_what_it_found(daemon):
    write_made(daemon.folder, "by-hand.wav", "put here by hand")
    with daemon.client() as client:
        assert ask(client, "/clip/scan")[0].arguments == ("/clip/scan", 1, 0, 0)
        (daemon.folder / "by-hand.wav").rename(daemon.folder / "renamed.wav")
        assert ask(client, "/clip/scan")[0].arguments == ("/clip/scan", 0, 1, 0)
        (daemon.folder / "renamed.wav").unlink()
        assert ask(client, "/clip/scan")[0].arguments == ("/clip/scan", 0, 0, 1)
        assert ask(client, "/clip/info", "renamed")[0].arguments[4] == "gone"


@pytest.mark.parametrize(
    ("address", "arguments", "code", "sentence"),
    [
        ("/clip/list", [0], "bad_argument", "count: got 0, expected 1 to 200"),
        ("/clip/list", [1, -1], "bad_argument", "from: got -1"),
        ("/clip/list", [1, 2, 3], "bad_argument", "arguments: got 3, expected how many"),
        ("/clip/list", ["x"], "bad_argument", "count: got 'x', expected a number"),
        ("/clip/search", [], "bad_argument", "words: got ''"),
        ("/clip/search", ["a", "@size", 1], "bad_argument", "attribute: got @size"),
        ("/clip/search", ["a", "@count"], "bad_argument", "count: got 0 values"),
        ("/clip/info", [], "bad_argument", "arguments: got 0, expected a clip"),
        ("/clip/info", ["none"], "unknown_clip", "clip: got 'none'"),
        ("/clip/info", ["../../etc/passwd"], "unknown_clip", "clip: got"),
        ("/clip/star", [], "bad_argument", "clip: got nothing, expected 'last'"),
        ("/clip/star", ["last", 2], "bad_argument", "star: got 2, expected 0 or 1"),
        ("/clip/tag", ["last"], "bad_argument", "tags: got nothing"),
        ("/clip/delete", ["last"], "unknown_clip", "'last'"),
        ("/clip/again", ["last"], "unknown_clip", "'last'"),
        ("/clip/undo", [1, 1], "bad_argument", "arguments: got 1 1, expected nothing"),
        ("/clip/redo", [], "nothing_to_undo", "redo: nothing"),
        ("/clip/scan", [1, 1], "bad_argument", "arguments: got 1 1, expected nothing"),
    ],
)
def test_bad_commands_are_answered(daemon, address, arguments, code, sentence):
    with daemon.client() as client:
        (reply,) = ask(client, address, *arguments)
    assert (reply.address, reply.arguments[:2], reply.arguments[3]) == ("/fail", (address, code), "")
    assert sentence in reply.arguments[2]


def test_a_seed_that_is_none_is_refused(daemon):
    with daemon.client() as client:
        make(client)
        for seed in ([-2], ["@seed", -2], [7, "@seed", 7], ["@seed", "x"]):
            assert ask(client, "/clip/again", "last", *seed)[-1].arguments[1] == "bad_argument"


@pytest.mark.parametrize("seed", [[], [-1], ["@seed", -1], ["@seed", "-1"]])
def test_again_draws_a_seed_that_any_client_can_send_back(daemon, monkeypatch, seed):
    with daemon.client() as client:
        make(client, seed=7)
        monkeypatch.setattr(seeds.secrets, "randbelow", lambda n: n - 1)
        clip = next(m.arguments for m in ask(client, "/clip/again", "last", *seed) if m.address == "/clip")
        assert clip[5] == 2**24 - 16 == int(struct.unpack("f", struct.pack("f", clip[5]))[0])


def test_again_is_changed_by_attributes(daemon):
    with daemon.client() as client:
        make(client, seed=7, steps=3)
        heard = ask(client, "/clip/again", "last", "@seed", 8, "@steps", 2, "@bars", 0.25, "@id", "mine")
        clip = next(m.arguments for m in heard if m.address == "/clip")
        recipe = read_recipe(daemon.folder / clip[2])
        assert (clip[0], clip[5], recipe["steps"], recipe["bars"], recipe["bpm"]) == ("mine", 8, 2, 0.25, 120)
        assert ask(client, "/clip/again", "last", "@size", 1)[-1].arguments[1] == "bad_argument"


def test_the_loop_answers_others_while_the_library_works(daemon, monkeypatch):
    gate = threading.Event()
    monkeypatch.setattr(daemon.daemon.library, "scan", lambda: gate.wait(5))
    with daemon.client() as client, daemon.client() as other:
        client.send("/clip/scan")
        try:
            assert other.ask("/version", reply="/version.reply", timeout_s=2)
        finally:
            gate.set()
        assert client.receive().address in ("/done", "/fail")


def test_commands_that_find_too_many_waiting_are_refused(daemon, monkeypatch):
    gate = threading.Event()
    monkeypatch.setattr(thread, "MAX_WAITING", 2)
    monkeypatch.setattr(daemon.daemon.library, "scan", lambda: gate.wait(5))
    with daemon.client() as client:
        for _ in range(3):
            client.send("/clip/scan")
        try:
            assert client.receive().arguments[:2] == ("/clip/scan", "queue_full")
        finally:
            gate.set()
        assert [client.receive().arguments[0] for _ in range(2)] == ["/clip/scan"] * 2


def test_what_is_long_is_cut_so_that_it_fits_a_packet(daemon):
    long = "ж" * 2000
    write_made(daemon.folder, "long.wav", long, seed=2)
    with daemon.client() as client:
        ask(client, "/clip/scan")
        assert ask(client, "/clip/info", "long")[0].arguments[-2] == long[: clips.MAX_TEXT]


def test_a_daemon_that_stops_answers_what_was_asked_before(toys, tmp_path, monkeypatch):
    settings = Settings(osc_port=0, folder=tmp_path / "clips", model="toy", device="cpu", threads=1)
    gate = threading.Event()
    with running_daemon(settings, toys) as running:
        client = Client(running.port)
        monkeypatch.setattr(running.daemon.library, "scan", lambda: gate.wait(5) and ScanResult(new=3))
        client.send("/clip/scan")
        client.ask("/version", reply="/version.reply")
        threading.Timer(0.3, gate.set).start()
    assert client.receive().arguments == ("/clip/scan", 3, 0, 0)
    client.close()
