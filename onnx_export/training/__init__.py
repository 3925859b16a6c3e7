"""The parts that every training run shares."""
