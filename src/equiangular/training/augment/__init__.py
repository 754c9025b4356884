"""Augmentation of whole batches: images as uint8 tensors, one set of draws for each image, no loop over images.

What is random is drawn apart from what is done: ``draw`` gives tensors for the whole global batch from an explicit
generator, ``apply`` is a pure function of images and draws. A process applies its slice of the draws, so the images do
not depend on the number of processes, and a run resumes from (epoch, step) alone. Imports torch and NumPy only.
"""

from equiangular.training.augment.mixing import MixDraws, Mixing
from equiangular.training.augment.pipeline import Augmentation, take_draws

__all__ = ["Augmentation", "MixDraws", "Mixing", "take_draws"]
