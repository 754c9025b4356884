"""Trials: from data and options to a finished classifier and its scores; folders, checkpoints."""
