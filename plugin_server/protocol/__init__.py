"""The protocol of the daemon: it parses, submits and answers, and never computes."""
