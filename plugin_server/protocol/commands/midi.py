"""The slots and banks that a MIDI keyboard plays on; no client has asked, so all that follow get the answers."""

from contextlib import suppress

from plugin_server.audio.playback.player import Player
from plugin_server.errors import QueueFull
from plugin_server.protocol.commands.banks import BankCommands
from plugin_server.protocol.commands.slots import SlotTrigger
from plugin_server.protocol.commands.triggers import ADDRESS
from plugin_server.protocol.replies import Replies
from plugin_server.protocol.subscribers import NOBODY


class MidiPads:
    """Commands that come by MIDI; to be called on the loop."""

    def __init__(self, banks: BankCommands, slots: SlotTrigger, player: Player, replies: Replies) -> None:
        self._banks, self._slots, self._player, self._replies = banks, slots, player, replies

    def note(self, note: int, velocity: int) -> None:
        """Fire the slots of a note."""
        self._replies.run(NOBODY, ADDRESS, lambda: self._slots.fire_note(NOBODY, note, velocity))

    def release(self, note: int) -> None:
        """End the slots of a note that sound while it is held."""
        self._replies.run(NOBODY, ADDRESS, lambda: self._slots.release_note(NOBODY, note))

    def program(self, number: int) -> None:
        """Load the bank at this index of the list, from 0."""
        self._replies.run(NOBODY, "/bank/load", lambda: self._banks.load_number(NOBODY, number))

    def silence(self) -> None:
        """Fade out every voice that sounds, and let no slot be heard whose clip is being made."""
        self._slots.call_off()
        # With a full queue, those that wait already come to it.
        with suppress(QueueFull, RuntimeError):
            self._player.submit(self._player.stop)

    def overflow(self, n_dropped: int) -> None:
        """Send that so many messages were left out to all who follow."""
        sentence = f"{n_dropped} MIDI messages were left out: they came faster than they can be played"
        self._replies.fail(NOBODY, ADDRESS, QueueFull(sentence))
