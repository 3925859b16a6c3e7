"""A client that makes, stars, tags and moves clips and saves a bank, and remembers what it was told."""

import contextlib
import random
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from plugin_server.client import Client
from plugin_server.protocol.packets import Message

BANK = "kills"
MAX_JOBS = 6
"""Jobs that it has waiting at one time."""
PAUSE_S = 0.01
FORMATS = ("wav", "wav", "flac", "aiff")


@dataclass
class Told:
    """What the daemon has said."""

    clips: dict[str, str] = field(default_factory=dict)
    """File names of announced clips, by their ids."""
    stars: set[str] = field(default_factory=set)
    """Ids of clips whose star was answered with /done."""
    tags: dict[str, set[str]] = field(default_factory=dict)
    """Tags that were answered with /done, by the ids of clips."""
    jobs: dict[str, str] = field(default_factory=dict)
    """Addresses that ended jobs, by their ids; "" while a job has not ended."""
    saves: int = 0
    """Number in the prompt that the bank had when it was saved last."""
    n_saves: int = 0
    unanswered: dict[str, deque[tuple[str, str]]] = field(default_factory=dict)
    """Commands that wait for an answer, by their addresses: a clip's id and a tag, or a number."""

    @property
    def open_jobs(self) -> list[str]:
        """The ids of jobs that have not ended."""
        return [job for job, end in self.jobs.items() if not end]


class Musician:
    """Sends commands from random numbers of one seed; `folder` is the sample folder."""

    def __init__(self, rng: random.Random, folder: Path):
        self.rng, self.folder, self.told = rng, folder, Told()
        self._n = 0
        self._commands = (self._generate, self._generate, self._generate, self._star, self._tag, self._move, self._save)

    def work(self, client: Client, seconds: float) -> None:
        """Send commands and take replies, for a time."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.rng.choice(self._commands)(client)
            self.listen(client, min(PAUSE_S, until - time.monotonic()))

    def listen(self, client: Client, seconds: float) -> None:
        """Take replies, for a time."""
        until = time.monotonic() + seconds
        while True:
            try:
                self._take(client.receive(max(until - time.monotonic(), 1e-3)))
            except TimeoutError:
                if time.monotonic() >= until:
                    return

    def forget_unanswered(self) -> None:
        """Expect no more answers, since who was asked is gone."""
        self.told.unanswered.clear()
        for job in self.told.open_jobs:
            del self.told.jobs[job]

    def _ask(self, client: Client, address: str, clip: str, value: str, *arguments: str | int) -> None:
        self.told.unanswered.setdefault(address, deque()).append((clip, value))
        client.send(address, *arguments)

    def _generate(self, client: Client) -> None:
        if len(self.told.open_jobs) >= MAX_JOBS:
            return
        self._n += 1
        job = f"j{self._n}"
        self.told.jobs[job] = ""
        takes, seconds = self.rng.choice((1, 1, 2, 4)), self.rng.choice((0.5, 1.0, 4.0))
        # Far enough apart that no two takes are the same sound.
        named = ("@seed", 20 * self._n, "@variations", takes, "@format", self.rng.choice(FORMATS), "@id", job)
        client.send("/generate", f"rain {self._n}", seconds, "@steps", 3, *named)

    def _any_clip(self) -> str | None:
        # Rather a new one: it is the one that an unfinished write could harm.
        return self.rng.choice(list(self.told.clips)[-20:]) if self.told.clips else None

    def _star(self, client: Client) -> None:
        if clip := self._any_clip():
            self._ask(client, "/clip/star", clip, "", clip, 1)

    def _tag(self, client: Client) -> None:
        if clip := self._any_clip():
            self._n += 1
            tag = f"tag{self._n}"
            self._ask(client, "/clip/tag", clip, tag, clip, tag)

    def _move(self, client: Client) -> None:
        """Move a clip to another folder, as a file manager does; now and then have the daemon look."""
        if clip := self._any_clip():
            name = self.told.clips[clip]
            place = self.folder / f"set {self.rng.randrange(4)}"
            place.mkdir(exist_ok=True)
            for path in (self.folder / name, *(self.folder / f"set {i}" / name for i in range(4))):
                with contextlib.suppress(FileNotFoundError):
                    path.rename(place / name)
                    break
            if self.rng.random() < 0.3:
                client.send("/clip/scan")

    def _save(self, client: Client) -> None:
        self._n += 1
        client.send("/bank/set", 0, f"rain {self._n}", 1.0)
        self._ask(client, "/bank/save", "", str(self._n), BANK)

    def _take(self, message: Message) -> None:
        match message.address, message.arguments:
            case "/clip", (str(), str(clip), str(path), *_):
                self.told.clips[clip] = Path(path).name
            case "/done" | "/fail", ("/generate", *rest):
                job = str(rest[0] if message.address == "/done" else rest[2])
                if job in self.told.jobs:
                    self.told.jobs[job] = message.address
            case "/done" | "/fail", (str(address), *_) if self.told.unanswered.get(address):
                clip, value = self.told.unanswered[address].popleft()
                if message.address == "/done":
                    self._remember(address, clip, value)

    def _remember(self, address: str, clip: str, value: str) -> None:
        if address == "/clip/star":
            self.told.stars.add(clip)
        elif address == "/clip/tag":
            self.told.tags.setdefault(clip, set()).add(value)
        else:
            self.told.saves = int(value)
            self.told.n_saves += 1
