"""Long trainings on a GPU, in slices of minutes."""
