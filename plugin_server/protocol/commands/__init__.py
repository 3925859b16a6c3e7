"""The commands: rows of the address table, and their handlers, a subject a file."""
