"""Sound as a value: clips, how they are finished, how they are kept in files."""
