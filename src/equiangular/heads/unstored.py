"""Large frames that have a closed form: logits, targets and checkpoints without the matrix of class vectors."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from equiangular._autocast import autocast_is_on
from equiangular._validate import have_values, values_are_readable
from equiangular.frames.simplex import check_simplex_size, simplex_etf
from equiangular.frames.structured import STRUCTURES, Structure, scaled_simplex_logits, simplex_rows
from equiangular.heads.base import Head
from equiangular.heads.functional import rows_or_zero, write_recipe

LARGE_FRAME = 2**18  # numbers in a frame from which on its closed form is faster than a product


class UnstoredFrame(Head):
    """A head that does not store a canonical or minimal frame of 2^18 numbers or more.

    Logits take O(B K) time where the product with the frame takes O(B K d), and neither memory nor a checkpoint holds
    K x d numbers: see :func:`equiangular.frames.simplex_logits`. ``weight`` makes the class vectors when it is first
    asked for and keeps them from then on. What is written into them counts: they are stored then, in memory and
    in checkpoints, and multiplied as any. Checkpoints of either kind load into either kind of head.

    Attributes:
        weight: (K, dim) class vectors; None for 0 classes.
        recipe: (3,) int64, what is stored in their place: number of the structure, K and d; None where they are stored.
    """

    recipe: Tensor | None
    basis: Any
    _may_be_unstored = True
    _structure: Structure | None = None
    _kept: tuple[Tensor, int] | None = None  # the class vectors if they were asked for, and their version

    @property
    def weight(self) -> Tensor:  # type: ignore[override]  # not always stored
        """The class vectors, (K, dim), to read or to write to."""
        if "weight" not in self._buffers:
            raise AttributeError("weight")  # nn.Module then looks among its parameters
        stored = self._buffers["weight"]
        if stored is not None or self.structure is None:
            return stored  # type: ignore[return-value]  # None for 0 classes
        if self._kept is not None:
            return self._kept[0]
        made = self._frame()
        if type(made) is Tensor and have_values(made):
            self._kept = made, made._version
        return made

    def _simplex_dim(self) -> int:
        return self.num_classes if self.basis in ("canonical", "grouped") else super()._simplex_dim()

    def _has_matrix(self) -> bool:
        return not (self._may_be_unstored and self.basis in STRUCTURES)

    @property
    def structure(self) -> Structure | None:
        """The closed form that gives the class vectors; None where they are stored, or are not those any more."""
        if self._structure is None:
            return None
        if self._buffers.get("weight") is not None:
            self._forget_recipe()
        elif self._kept is not None and have_values(self._kept[0]) and self._kept[0]._version != self._kept[1]:
            self._buffers["weight"] = self._kept[0]
            self._forget_recipe()
        return self._structure

    def store_frame(self) -> None:
        """Make the class vectors a persistent buffer, as those of a small frame are."""
        if self.structure is not None:
            self._buffers["weight"] = self._frame() if self._kept is None else self._kept[0]
            self._forget_recipe()

    def class_vectors(self) -> Tensor:
        """What features are compared with, to read: (K, dim), made anew where they are not stored."""
        if self.structure is None:
            return self.weight
        # `weight` would do, but PyTorch 2.4 compiles it to the buffer of that name, which is None.
        return self._frame() if self._kept is None else self._kept[0]

    def logits_from_features(self, h: Tensor) -> Tensor:
        """Logits (..., K) of features h (..., dim), as ``forward(x, pre_logits=True)`` gives them."""
        structure = self._formula(h)
        if structure is None:
            return super().logits_from_features(h)
        logits = scaled_simplex_logits(h, self.num_classes, structure, self.scale)
        return logits.to(torch.get_autocast_dtype(h.device.type)) if autocast_is_on(h) else logits

    def targets(self, labels: Tensor) -> Tensor:
        """The class vectors of labels (B,) int64: (B, dim), see :meth:`Head.targets`.

        Raises:
            ValueError: labels that are no integers in [0, K) and not -100.
        """
        structure = self._formula(self.scale)
        if structure is None:
            return super().targets(labels)
        place, k, dim = self.scale, self.num_classes, self.dim

        def look_up(ids: Tensor) -> Tensor:
            return simplex_rows(ids.to(place.device), k, dim, structure, place.dtype)

        return rows_or_zero(labels, k, look_up)

    def _formula(self, like: Tensor) -> Structure | None:
        """The structure, unless class vectors were handed out and it cannot be told whether they were written to."""
        return self.structure if self._kept is None or have_values(like) else None

    def _frame(self) -> Tensor:
        like, structure = self.scale.detach(), cast("Structure", self._structure)
        if not have_values(like):
            ids = torch.arange(self.num_classes, device=like.device)
            return simplex_rows(ids, self.num_classes, self.dim, structure, like.dtype)
        with torch.inference_mode(False):
            return simplex_etf(self.num_classes, self.dim, basis=structure, device=like.device, dtype=like.dtype)

    def _is_structured(self) -> bool:
        """Whether a frame of this basis and size is not stored; whether there is one was checked."""
        large = self.num_classes * self.dim >= LARGE_FRAME
        if self._may_be_unstored and large and self.basis in STRUCTURES:
            check_simplex_size(self.num_classes, self.dim, self.basis)
            return True
        return False

    def _recipe(self) -> list[int]:
        structure = self.basis if self._structure is None else self._structure
        return [STRUCTURES.index(structure), self.num_classes, self.dim]

    def _set_vectors(self, vectors: Tensor) -> None:
        if self._is_structured():
            self._structure = self.basis
            self.register_buffer("weight", None)
            self.register_buffer("recipe", torch.tensor(self._recipe(), device=vectors.device))
        else:
            super()._set_vectors(vectors)
            self.register_buffer("recipe", None)

    def _drop_classifier(self) -> None:
        super()._drop_classifier()
        self._structure = self._kept = None
        self._buffers.pop("recipe", None)

    def _forget_recipe(self) -> None:
        self._structure = self._kept = self._buffers["recipe"] = None

    def _made_tensors(self) -> dict[str, Tensor]:
        made = super()._made_tensors()
        if self._buffers.get("weight") is not None and "weight" not in made:  # stored although it has a closed form
            made["weight"] = simplex_etf(self.num_classes, self.dim, basis=self.basis, dtype=self.scale.dtype)
        return made

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        place = self.scale.device, self.scale.dtype, self.structure  # which looks whether the vectors were written to
        super()._apply(fn, recurse)
        if place[:2] != (self.scale.device, self.scale.dtype):
            self._kept = None  # made again, where the head is now, when it is asked for
        return self

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        structure = self.structure  # looks whether the vectors were written to: then there is no recipe any more
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if structure is not None:
            write_recipe(destination, prefix, self.recipe, self._recipe())

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Take over class vectors, or a recipe, as the checkpoint has them."""
        given, recipe = state_dict.get(f"{prefix}weight"), state_dict.get(f"{prefix}recipe")
        if self.num_classes and "weight" in self._buffers and (given is not None or recipe is not None):
            state_dict = dict(state_dict)
            if given is None:
                self._take_recipe(recipe, rest[-1])
            elif tuple(given.shape) != (self.num_classes, self.dim) and self.structure is not None:
                del state_dict[f"{prefix}weight"]
                expected = f"({self.num_classes}, {self.dim})"
                rest[-1].append(f"size mismatch for {prefix}weight: {tuple(given.shape)}, the head has {expected}.")
            elif self._is_structured() and self._is_frame(given):
                del state_dict[f"{prefix}weight"]
                self._structure = self.basis
                state_dict[f"{prefix}recipe"] = torch.tensor(self._recipe())
                self._take_recipe(state_dict[f"{prefix}recipe"], rest[-1])
            elif self.structure is not None:
                self._buffers["weight"] = self.scale.detach().new_empty(self.num_classes, self.dim)
                self._forget_recipe()
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def _take_recipe(self, recipe: Any, errors: list[str]) -> None:
        """The class vectors of a recipe, whatever there was."""
        if recipe.is_meta:
            return
        number, *size = recipe.tolist()
        if not self._may_be_unstored or size != [self.num_classes, self.dim] or not 0 <= number < len(STRUCTURES):
            given = f"the checkpoint's recipe of class vectors is {recipe.tolist()}"
            errors.append(f"{given}; this head: {self.extra_repr()}.")
            return
        self._lost = self._kept = self._buffers["weight"] = None
        self._structure = STRUCTURES[number]
        self._buffers["recipe"] = torch.empty(3, dtype=torch.int64, device=self.scale.device)

    def _is_frame(self, given: Tensor) -> bool:
        """Whether these are the class vectors of the closed form, bit for bit, looked at block by block."""
        if not values_are_readable(given.detach()):
            return False
        ids = torch.arange(self.num_classes, device=given.device)
        rows = (simplex_rows(part, self.num_classes, self.dim, self.basis, given.dtype) for part in ids.split(256))
        return all(torch.equal(made, there) for made, there in zip(rows, given.split(256), strict=True))
