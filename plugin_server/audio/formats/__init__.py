"""Clips in files: WAV, FLAC and AIFF, with the metadata that hosts read."""
