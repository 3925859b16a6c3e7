"""`python -m tests.fuzz.kills --times N`: kill a daemon, or its engine, again and again, and look what is lost.

Nothing that was announced or answered may be: clips, stars, tags, a saved bank, the end of a job. No file may be seen
that is not whole.
"""

import argparse
import os
import random
import re
import secrets
import signal
import sqlite3
import sys
import tempfile
import time
import tomllib
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from plugin_server.audio.formats.files import read_clip
from plugin_server.audio.formats.partial_files import PART, PART_AGE_S
from plugin_server.client import Client
from plugin_server.errors import ClipsonicError
from tests.fuzz.daemon import OwnDaemon
from tests.fuzz.musician import BANK, Musician

LONGEST_S = 1.5
"""Longest time at work before a kill."""
TOLD_S = 120.0
"""Time in which every job has to end after its engine was killed, on a machine that does other work, too."""
ANSWER_S = 60.0
MAX_TRACEBACK = 3000
OLD_CLIPS = 20
"""Clips of earlier rounds that are looked for again."""


@dataclass
class Loss:
    """What was seen in a number of kills."""

    kills: int = 0
    clips: int = 0
    stars: int = 0
    tags: int = 0
    saves: int = 0
    failed_jobs: int = 0
    parts: int = 0
    """Unfinished files that were left, hidden."""
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        told = f"{self.clips} clips announced, {self.stars} stars, {self.tags} tags and {self.saves} saves answered"
        lines = [f"kills        {self.kills}", f"told         {told}; {self.failed_jobs} jobs failed"]
        lines.append(f"left         {self.parts} hidden .part files, gone at the next start")
        return "\n".join([*lines, *(f"FAULT        {fault}" for fault in self.faults)])


class Round:
    """What is looked at between two kills."""

    def __init__(self, daemon: OwnDaemon, musician: Musician, loss: Loss):
        self.daemon, self.musician, self.loss = daemon, musician, loss
        self._whole: set[str] = set()
        self._known: set[str] = set()

    def blame(self, sentence: str) -> None:
        """Write down what must not be."""
        self.loss.faults.append(f"kill {self.loss.kills}: {sentence}")

    def look_at_files(self) -> None:
        """Check that all files which can be seen are whole, and that all announced clips are among them."""
        names = set()
        for path in self.daemon.clips.rglob("*"):
            if path.is_dir() or path.name.startswith("."):
                continue
            names.add(path.name)
            if path.name not in self._whole:
                try:
                    read_clip(path)
                    self._whole.add(path.name)
                except ClipsonicError as error:
                    self.blame(f"a file that is not whole: {error}")
        for name in set(self.musician.told.clips.values()) - names:
            self.blame(f"{name} was announced and is not there")
        for path in self.daemon.banks.glob("*.toml"):
            try:
                tomllib.loads(path.read_text())
            except ValueError as error:
                self.blame(f"{path.name}: {error}")

    def parts(self) -> list[Path]:
        """Return the unfinished files of the daemon's folders."""
        return [path for path in self.daemon.folder.rglob(".*.part") if PART.fullmatch(path.name)]

    def make_parts_old(self) -> None:
        """Let unfinished files look as if nobody wrote them any more."""
        parts = self.parts()
        self.loss.parts += len(parts)
        for path in parts:
            os.utime(path, times=(time.time() - 2 * PART_AGE_S,) * 2)

    def look_at_the_library(self, client: Client) -> None:
        """Ask for clips that were announced in this round and for some older ones, and check the index itself."""
        told = self.musician.told
        client.ask("/clip/scan", reply="/done", timeout_s=ANSWER_S)
        new = [clip for clip in told.clips if clip not in self._known]
        old = self.musician.rng.sample(sorted(self._known), min(OLD_CLIPS, len(self._known)))
        for clip in (*new, *old):
            try:
                info = client.ask("/clip/info", clip, reply="/clip.info", timeout_s=ANSWER_S)
            except ClipsonicError as error:
                self.blame(f"{told.clips[clip]}: {error}")
                continue
            if not Path(str(info[1])).exists() or info[4] != "here":
                self.blame(f"{told.clips[clip]} is {info[4]}, at {info[1]}")
            if clip in told.stars and not info[3]:
                self.blame(f"{told.clips[clip]} has lost its star")
            if lost := told.tags.get(clip, set()) - set(str(info[10]).split()):
                self.blame(f"{told.clips[clip]} has lost {', '.join(sorted(lost))}")
        self._known.update(new)
        for path in (self.daemon.folder / "library").glob("*.sqlite3"):
            with closing(sqlite3.connect(path)) as connection:
                if (said := connection.execute("PRAGMA integrity_check").fetchall()) != [("ok",)]:
                    self.blame(f"{path.name}: {said}")

    def look_at_the_bank(self, client: Client, unanswered: set[int]) -> None:
        """Check that the bank is as it was saved last, or as a save that was not answered left it; then load it."""
        saved = self.musician.told.saves
        if not saved and not (self.daemon.banks / f"{BANK}.toml").exists():
            client.ask("/bank/load", "drums", reply="/done", timeout_s=ANSWER_S)
            return
        client.send("/bank/load", BANK)
        slot = client.ask("/bank/load", BANK, reply="/bank.slot", timeout_s=ANSWER_S)
        number = re.fullmatch(r"rain (\d+)", str(slot[3]))
        if not number or int(number[1]) not in {saved, *unanswered}:
            self.blame(f"the bank has {slot[3]!r}, saved was rain {saved}")


def kill_daemons(folder: Path, times: int, seed: int) -> Loss:
    """Kill a daemon and start it again, so many times; return what was seen."""
    loss = Loss()
    daemon = OwnDaemon(folder, burn=BURN)
    musician = Musician(random.Random(seed), daemon.clips)
    look = Round(daemon, musician, loss)
    daemon.start()
    unanswered: set[int] = set()
    try:
        for _ in range(times):
            with Client(daemon.osc_port) as client:
                look.look_at_the_bank(client, unanswered)
                musician.work(client, musician.rng.uniform(0, LONGEST_S))
                daemon.kill()
                musician.listen(client, 0.0)
            loss.kills += 1
            # A save that was not answered may have been done, and so has every one before it.
            pending = {int(value) for _, value in musician.told.unanswered.get("/bank/save", ())}
            # Its edit is kept, too, until the bank is saved again.
            unanswered = {number for number in unanswered | pending if number > musician.told.saves}
            musician.forget_unanswered()
            look.look_at_files()
            look.make_parts_old()
            daemon.start()
            with Client(daemon.osc_port) as client:
                look.look_at_the_library(client)
            if left := look.parts():
                look.blame(f"{len(left)} old .part files stay: {left[0]}")
    finally:
        end(daemon, look)
    return loss


def kill_engines(folder: Path, times: int, seed: int) -> Loss:
    """Kill the engine of one daemon, so many times; return what was seen."""
    loss = Loss()
    daemon = OwnDaemon(folder, burn=BURN)
    musician = Musician(random.Random(seed), daemon.clips)
    look = Round(daemon, musician, loss)
    daemon.start()
    try:
        with Client(daemon.osc_port) as client:
            client.ask("/bank/load", "drums", reply="/done", timeout_s=ANSWER_S)
            for _ in range(times):
                musician.work(client, musician.rng.uniform(0, LONGEST_S))
                while (engine := engine_of(daemon.pid)) is None:
                    # One that died while it loaded its model is started again by the next job.
                    musician.work(client, PAUSE_S)
                os.kill(engine, signal.SIGKILL)
                loss.kills += 1
                until = time.monotonic() + TOLD_S
                while (left := musician.told.open_jobs) and time.monotonic() < until:
                    musician.listen(client, 0.05)
                if left:
                    look.blame(f"{', '.join(left)} were never told of their end")
                    musician.forget_unanswered()
                look.look_at_files()
            look.look_at_the_library(client)
    finally:
        end(daemon, look)
    return loss


def end(daemon: OwnDaemon, look: Round) -> None:
    """Stop the daemon, and count what was told."""
    status = daemon.stop()
    if status != 0:
        look.blame(f"the daemon ended with {status}, expected 0")
    log = daemon.log_path.read_text()
    if n := log.count("Traceback"):
        look.blame(f"{n} tracebacks in the log, the first of them:\n{log[log.index('Traceback') :][:MAX_TRACEBACK]}")
    told, loss = look.musician.told, look.loss
    loss.clips, loss.stars, loss.saves = len(told.clips), len(told.stars), told.n_saves
    loss.tags = sum(map(len, told.tags.values()))
    loss.failed_jobs = list(told.jobs.values()).count("/fail")


def engine_of(daemon_pid: int) -> int | None:
    """Return the process of the daemon's engine, None while there is none."""
    for task in Path(f"/proc/{daemon_pid}/task").iterdir():
        with suppress(OSError):
            for child in (task / "children").read_text().split():
                if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                    return int(child)
    return None


PAUSE_S = 0.05
BURN = 200
"""Size of the toy model's matrices, which make a step take some milliseconds."""
TARGETS = {"engine": kill_engines, "daemon": kill_daemons}


def main() -> int:
    """Return 0 when nothing was lost, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.kills", description="Kills at random moments.")
    parser.add_argument("--times", type=int, default=20, help="kills of each (default: 20)")
    parser.add_argument("--seed", type=int, help="of the moments and commands (default: another each time)")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="engine, daemon (default: both)")
    options = parser.parse_args()
    if unknown := set(options.targets) - set(TARGETS):
        parser.error(f"TARGET: got {', '.join(sorted(unknown))}, expected engine or daemon")
    seed = secrets.randbits(31) if options.seed is None else options.seed
    print(f"seed         {seed}", flush=True)
    is_well = True
    for name in options.targets or TARGETS:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            loss = TARGETS[name](Path(folder), options.times, seed)
        print(f"killed       the {name}\n{loss}", flush=True)
        is_well &= not loss.faults
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
