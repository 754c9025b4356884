"""Tables and figures of factorial studies. Reads what was computed, computes nothing."""
