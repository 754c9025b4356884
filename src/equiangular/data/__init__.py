"""Named data sets and files as arrays in memory: images as bytes, tables and texts as floats.

Importing this package imports torch and NumPy; scikit-learn, pyarrow and Pillow are imported by the loader that needs
them.
"""

from equiangular.data.arrays import from_arrays
from equiangular.data.base import Dataset
from equiangular.data.registry import dataset_names, load_dataset

__all__ = ["Dataset", "dataset_names", "from_arrays", "load_dataset"]
