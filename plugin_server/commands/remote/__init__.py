"""Commands that ask a daemon which runs."""
