"""A fuzzer of the daemon: random packets, streams, requests and files, seeded, for a time or a number of inputs."""
