"""The loop: batches, optimisers, devices. One training from its first step to its last."""
