"""Named data sets and files in one form: images as bytes of pixels or still encoded, tables and texts as floats.

Importing this package imports torch and NumPy; scikit-learn, pyarrow, Pillow, datasets and torchvision are imported by
the loader that needs them.
"""

from equiangular.data.arrays import from_arrays
from equiangular.data.base import Dataset
from equiangular.data.encoded import EncodedImages
from equiangular.data.registry import dataset_names, load_dataset
from equiangular.data.split import Split, make_split
from equiangular.data.stream import content_digest, select, stream_batches

__all__ = [
    "Dataset",
    "EncodedImages",
    "Split",
    "content_digest",
    "dataset_names",
    "from_arrays",
    "load_dataset",
    "make_split",
    "select",
    "stream_batches",
]
