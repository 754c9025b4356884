"""The trained networks of the tests of inference."""

from ..inference.conftest import digit_images, digits_run, table_run

__all__ = ["digit_images", "digits_run", "table_run"]
