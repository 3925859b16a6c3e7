"""`python -m plugin_server` is the command `clipsonic`."""

import os
import signal


def main() -> int:
    """Run the command `clipsonic`, and return its exit status."""
    handler = signal.getsignal(signal.SIGINT)
    if handler == signal.default_int_handler:
        # While the command is imported an interrupt ends it without a traceback.
        signal.signal(signal.SIGINT, lambda _number, _frame: os._exit(130))
    from plugin_server import cli

    signal.signal(signal.SIGINT, handler)
    return cli.main()


if __name__ == "__main__":
    raise SystemExit(main())
