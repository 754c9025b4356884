"""What a training is told: plain values, no torch."""
