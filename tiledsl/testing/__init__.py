"""``test`` items: their cases, the inputs of each, the runs and what they are compared with."""
