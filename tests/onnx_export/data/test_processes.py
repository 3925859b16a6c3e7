"""Work in processes gives what work here gives, and folders are made once and whole."""

import multiprocessing
import os
import threading
from functools import partial

import pytest

from onnx_export.data.processes import MIN_ITEMS, THREAD_VARIABLES, make_once, map_in_processes


def thread_settings(n):
    return n, os.getpid(), [os.environ.get(name) for name in THREAD_VARIABLES]


def raise_for(n, bad):
    if n == bad:
        raise ValueError(f"{n} is bad")
    return n


def test_results_come_in_order_from_processes_of_one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    rows = list(map_in_processes(thread_settings, range(MIN_ITEMS + 100), 2))
    assert [n for n, _, _ in rows] == list(range(MIN_ITEMS + 100))
    assert os.getpid() not in {pid for _, pid, _ in rows}
    assert all(settings == ["1"] * len(THREAD_VARIABLES) for _, _, settings in rows)
    assert os.environ["OMP_NUM_THREADS"] == "7" and "MKL_NUM_THREADS" not in os.environ


def test_few_items_need_no_process():
    assert {pid for _, pid, _ in map_in_processes(thread_settings, range(MIN_ITEMS - 1), 2)} == {os.getpid()}


def test_an_error_in_a_process_is_raised_here():
    with pytest.raises(ValueError, match="70 is bad"):
        list(map_in_processes(partial(raise_for, bad=70), range(MIN_ITEMS + 100), 2))


def test_a_folder_is_made_once(tmp_path):
    def write(folder):
        assert not (tmp_path / "a").exists()
        (folder / "last").write_text("1")

    make_once(tmp_path / "a", "last", write)
    make_once(tmp_path / "a", "last", lambda folder: pytest.fail("it is there"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "a.lock"]


def test_what_a_stopped_run_left_is_made_anew(tmp_path):
    def stop(folder):
        (folder / "first").write_text("1")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_once(tmp_path / "a", "last", stop)
    assert not (tmp_path / "a").exists()
    # As versions left it that wrote into the folder itself.
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").write_text("1")
    make_once(tmp_path / "a", "last", lambda folder: (folder / "last").write_text("1"))
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["last"]


def make_slowly(folder, may_end, begun):
    def write(part):
        begun.set()
        may_end.wait()
        (part / "last").write_text("other")

    make_once(folder, "last", write)


def test_a_second_process_waits_for_the_first(tmp_path):
    context = multiprocessing.get_context("spawn")
    may_end, begun = context.Event(), context.Event()
    other = context.Process(target=make_slowly, args=(tmp_path / "a", may_end, begun))
    other.start()
    begun.wait(30)
    here = threading.Thread(target=make_once, args=(tmp_path / "a", "last", lambda folder: pytest.fail("made twice")))
    here.start()
    assert here.is_alive()
    may_end.set()
    here.join(30)
    other.join(30)
    assert (tmp_path / "a" / "last").read_text() == "other"
