"""The commands of `clipsonic`, one file each."""
