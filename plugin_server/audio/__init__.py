"""The audio room: clips as values, their finishing, spectra, file formats and playback."""
