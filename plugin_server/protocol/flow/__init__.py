"""Flow control: what waits to be done and to be sent, for each peer within bounds."""
