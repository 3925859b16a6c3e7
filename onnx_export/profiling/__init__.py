"""What training and inference cost: FLOPs, memory and time."""
