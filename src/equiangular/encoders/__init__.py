"""Pretrained encoders as front ends: texts and images in, vectors out, once and cached. Extra ``[encoders]``.

Importing this package imports torch and NumPy; the libraries that encoders come from are imported on demand.
"""

from equiangular.encoders.base import CallableEncoder as CallableEncoder, Encoder as Encoder, describe as describe
from equiangular.encoders.embedding import EmbedReport as EmbedReport, embed as embed
from equiangular.encoders.class_names import names_features as names_features
from equiangular.encoders.known import KnownEncoder as KnownEncoder
from equiangular.encoders.registry import encoder_names as encoder_names, load_encoder as load_encoder
