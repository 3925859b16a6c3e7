"""The engine process: the side of the daemon and the side of the worker."""
