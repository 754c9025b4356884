"""What was asked of the library, and answered: studies, single questions, the search for the recipe."""
