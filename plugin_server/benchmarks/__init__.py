"""Benchmarks that anyone can run: `python -m plugin_server.benchmarks.NAME`."""
