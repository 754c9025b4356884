"""The vectors of class names, or of what classes are described as, by the encoder that makes the features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from equiangular._files import read_json
from equiangular._validate import did_you_mean
from equiangular.encoders.base import Encoder
from equiangular.heads.named import class_text_vectors

# Class name -> a text or several.
ClassTexts = Mapping[str, str | Sequence[str]]
PLAIN = ("{}",)
_BATCH = 64


def names_features(
    encoder: Encoder,
    names: Sequence[str],
    *,
    class_texts: ClassTexts | None = None,
    templates: Sequence[str] = PLAIN,
    batch_size: int = _BATCH,
) -> Tensor | None:
    """Vectors (K, d) of class names or texts, "_" read as a space; None for an encoder of images, or unnamed classes.

    Several vectors of a class become one in the direction of :func:`equiangular.class_text_vectors`, of their mean
    length: as long as what the encoder makes. A name without a letter, such as "7", is none.

    Raises:
        ValueError: class texts or templates for an encoder of images, a text of an unknown class, or an empty one.
    """
    given = dict(class_texts or {})
    if encoder.modality != "text":
        if given or tuple(templates) != PLAIN:
            raise ValueError(
                f"{encoder.name} reads no texts, so class_texts and templates have nothing to do. Leave them out, or "
                "take an encoder of texts."
            )
        return None
    for name in given:
        if name not in names:
            raise ValueError(f"class_texts: there is no class {name!r}{did_you_mean(name, list(names))}")
    if not all(name in given or any(map(str.isalpha, name)) for name in names):
        return None
    for name, texts in given.items():
        if not texts or not all(
            isinstance(t, str) and t.strip() for t in ([texts] if isinstance(texts, str) else texts)
        ):
            raise ValueError(
                f"class_texts: the class {name!r} has no text, or one that is empty: {texts!r}. Describe it in a word "
                "or more, or leave it out: then its name is taken."
            )
    groups = [[text] if isinstance(text := given.get(name, name), str) else list(text) for name in names]
    lengths: list[Tensor] = []

    def encode(texts: list[str]) -> Tensor:
        made = torch.cat([encoder.encode(texts[i : i + batch_size]) for i in range(0, len(texts), batch_size)])
        lengths.append(made.norm(dim=1))
        return made

    unit = class_text_vectors(groups, encode, templates=templates)
    sizes = [len(group) * len(templates) for group in groups]
    return unit * torch.stack([part.mean() for part in torch.cat(lengths).split(sizes)])[:, None].to(unit)


def read_class_texts(path: str | Path) -> dict[str, str | list[str]]:
    """Class texts from a JSON file, checked.

    Raises:
        ValueError: no JSON, or something else than texts by class name.
    """
    found = read_json(path)
    texts = found.values() if isinstance(found, dict) else [None]
    if not all(isinstance(t, str) or (isinstance(t, list) and all(isinstance(s, str) for s in t)) for t in texts):
        raise ValueError(
            f'{str(path)!r} must hold a text, or a list of texts, for each class name: {{"card_arrival": "when will my '
            'card arrive", ...}. Write it so.'
        )
    return dict(found)
