"""``python -m experiments``, from the checkout."""

from equiangular.cli import main

if __name__ == "__main__":
    main(commands="experiments.commands.app", program="python -m experiments")
