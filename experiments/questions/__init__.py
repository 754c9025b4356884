"""Single questions, one file each, that train networks to answer it. docs/ shows the answers."""
