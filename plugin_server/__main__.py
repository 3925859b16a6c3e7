"""`python -m plugin_server` is the command `clipsonic`."""

from plugin_server.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
