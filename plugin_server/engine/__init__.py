"""Models to sound. Knows nothing of OSC, folders or clips' names."""
