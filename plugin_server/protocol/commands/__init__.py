"""What each OSC address does."""
