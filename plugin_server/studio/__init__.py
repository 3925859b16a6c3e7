"""The work of making a clip: requests, jobs, and the way from model to file."""
