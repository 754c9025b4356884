"""A classifier: backbone and head in one module, its description, its files."""
