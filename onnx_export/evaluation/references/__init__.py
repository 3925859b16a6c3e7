"""Published networks that evaluation uses as references."""
