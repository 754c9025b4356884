"""Named data sets and files in one form: images as bytes of pixels or still encoded, tables and texts as floats.

Importing this package imports torch and NumPy; scikit-learn, pyarrow, Pillow, datasets and torchvision are imported by
the loader that needs them.
"""

from equiangular.data.folder import from_arrays as from_arrays
from equiangular.data.base import Dataset as Dataset
from equiangular.data.encoded import EncodedImages as EncodedImages
from equiangular.data.registry import dataset_names as dataset_names, load_dataset as load_dataset
from equiangular.data.split import Split as Split, make_split as make_split, content_digest as content_digest
from equiangular.data.texts import Texts as Texts
from equiangular.data.vectors import write_vectors as write_vectors
from equiangular.data.split import select as select, stream_batches as stream_batches
