"""Faces of the daemon: they parse, submit and answer; they never compute."""
