"""Clipsonic Live: a local daemon that turns words into sound for people who make music."""

__version__ = "0.3.0"
