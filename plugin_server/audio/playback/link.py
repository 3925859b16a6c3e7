"""Ableton Link: tempo and beat shared with Live and other programs on the network.

Needs the extra `link`, whose aalink is under the GNU General Public License, version 2 or later, as Link is itself.
"""

import asyncio

from plugin_server.audio.formats.metadata import BEATS_PER_BAR
from plugin_server.errors import LinkUnavailable

BEATS = {"beat": 1, "bar": BEATS_PER_BAR}
"""Beats from one line of the grid on which a clip may start to the next."""


class LinkSession:
    """A peer of the Link session until it is closed. Raises LinkUnavailable where aalink is not installed."""

    def __init__(self, bpm: float) -> None:
        # Imported late: an extra.
        try:
            import aalink
        except ImportError as error:
            sentence = 'link: aalink is not installed; pip install "clipsonic-live[link]" brings it'
            raise LinkUnavailable(sentence) from error

        async def create() -> aalink.Link:
            return aalink.Link(bpm)

        # It has to be created in a running loop, for callbacks that are not used here.
        self._link = asyncio.run(create())
        self._link.quantum = BEATS_PER_BAR
        self._link.enabled = True

    @property
    def bpm(self) -> float:
        """The session's beats a minute; set for all who take part."""
        # Link keeps microseconds a beat: 140 comes back as 140.00014.
        return round(float(self._link.tempo), 2)

    @bpm.setter
    def bpm(self, bpm: float) -> None:
        self._link.tempo = bpm

    @property
    def beat(self) -> float:
        """The beat that it is now; a multiple of four is where a bar begins for everybody."""
        return float(self._link.beat)

    @property
    def n_peers(self) -> int:
        """The number of other peers in the session."""
        return int(self._link.num_peers)

    def close(self) -> None:
        """Leave the session for good."""
        self._link.enabled = False
