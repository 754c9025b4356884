"""``python -m equiangular``: the command line."""

from equiangular.cli import main

if __name__ == "__main__":
    main()
