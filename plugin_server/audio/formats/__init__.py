"""The file formats of clips: WAV, FLAC and AIFF, with the metadata that hosts read."""
