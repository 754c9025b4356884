"""The search for the recipe, and the tuning of the main job on digits."""
