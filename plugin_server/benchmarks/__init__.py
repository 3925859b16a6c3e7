"""Benchmarks of generation, library and playback: `python -m plugin_server.benchmarks NAME`."""
