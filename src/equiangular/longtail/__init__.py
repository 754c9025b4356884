"""Long-tailed training sets: class-size profiles, index cuts, hold-outs, manifests and many/medium/few groups.

NumPy only. Everything works on an array of labels and returns indices; no sample is ever loaded or decoded. The seed
of a subset is apart from the seed of a training.
"""

from equiangular.longtail.cut import holdout_counts, holdout_indices, long_tail_counts, long_tail_indices
from equiangular.longtail.labels import class_groups
from equiangular.longtail.manifest import SubsetManifest

__all__ = [
    "SubsetManifest", "class_groups", "holdout_counts", "holdout_indices", "long_tail_counts", "long_tail_indices",
]  # fmt: skip
