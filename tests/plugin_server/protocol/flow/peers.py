"""A peer that remembers what it is sent."""


class Peer:
    """Remembers packets; equal to itself alone."""

    def __init__(self, name="", host="127.0.0.1"):
        self.name, self.host, self.is_behind, self.packets = name, host, False, []

    def __repr__(self):
        return self.name

    def send(self, packet):
        self.packets.append(packet)
