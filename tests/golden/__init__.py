"""A record of what users see, kept as text files: what the daemon answers, what commands print, how clips sound."""
