"""The library: an SQLite index of the sample folder, with stars, tags and undo."""
