"""A daemon of the fuzzer's own: a process with a toy model, in one folder with all that it reads and writes."""

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

from plugin_server.client import Client
from tests.support.toys import write_toy

ROOT = Path(__file__).resolve().parents[2]
READY_S = 120.0
STOP_S = 20.0


class OwnDaemon:
    """The process, which may be started again in its folder; `folder` outlives it.

    Attributes:
        clips: The sample folder.
        banks: The folder of the person's own banks.
        bundles: The folder of installed models.
        trash: The folder that deleted clips go to.
        log_path: What it writes to its standard error, of all its starts.
    """

    def __init__(self, folder: Path, code: Path = ROOT, burn: int = 0):
        self.folder, self._code = folder, code
        self.clips, self.banks = folder / "clips", folder / "banks"
        self.bundles = folder / "data" / "clipsonic" / "bundles"
        self.trash = folder / "data" / "Trash" / "files"
        self.log_path = folder / "log.txt"
        self.osc_port = self.http_port = 0
        self.clips.mkdir()
        self.banks.mkdir()
        (folder / "settings.toml").touch()
        write_toy(self.bundles, burn=burn)

    def start(self) -> None:
        """Start the process, and wait until its model is loaded. Raises RuntimeError when it does not start."""
        command = [sys.executable, "-m", "plugin_server", "serve", "--osc-port", "0", "--http-port", "0"]
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen(
                [*command, "--no-advertise", "--folder", str(self.clips)],
                cwd=self._code,
                env=os.environ | self._environment(),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        clock = threading.Timer(READY_S, self._process.kill)
        clock.start()
        lines = []
        assert self._process.stdout is not None
        for line in self._process.stdout:
            lines.append(line)
            if line.startswith("ready"):
                break
        clock.cancel()
        ports = re.findall(r":(\d+)", "".join(lines))
        if not ports or not self.is_alive:
            raise RuntimeError(f"the daemon did not start: {''.join(lines)}{self.log_path.read_text()}")
        self.osc_port = int(ports[0])
        with Client(self.osc_port) as client:
            self.http_port = int(client.ask("/network", reply="/network.reply", timeout_s=30)[0])

    def _environment(self) -> dict[str, str]:
        return {
            "PYTHONPATH": str(self._code),
            "PYTHONUNBUFFERED": "1",
            "CLIPSONIC_SETTINGS": str(self.folder / "settings.toml"),
            "CLIPSONIC_INDEX_FOLDER": str(self.folder / "library"),
            "CLIPSONIC_BANK_FOLDER": str(self.banks),
            "CLIPSONIC_MODEL": "toy",
            "XDG_DATA_HOME": str(self.folder / "data"),
        }

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def stop(self) -> int | None:
        """Stop it with SIGTERM, and return its exit status; None when it had to be killed."""
        self._process.terminate()
        try:
            return self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            return None
        finally:
            self.kill()

    def kill(self) -> None:
        """End it with SIGKILL, if it runs, and forget it."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def memory_mb(self) -> float:
        """Return its resident memory; 0 where the system does not tell."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return 0.0
        resident = re.search(r"VmRSS:\s+(\d+) kB", status)
        return int(resident[1]) / 1024 if resident else 0.0

    def dropped_datagrams(self) -> int:
        """Return how many datagrams the system threw away since its socket was full; 0 where it does not tell."""
        try:
            rows = Path("/proc/net/udp").read_text().splitlines()[1:]
        except OSError:
            return 0
        port = f":{self.osc_port:04X}"
        return sum(int(row.split()[-1]) for row in rows if row.split()[1].endswith(port))
