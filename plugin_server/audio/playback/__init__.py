"""The live output: voices, the mixer, the sound device and Ableton Link."""
