"""Commands of ``python -m experiments`` that read their arguments by typer, one file each."""
