"""What a comparison is told: data, cut, methods, seeds and budget."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from equiangular._checks import check_choice, check_imbalance_factor, check_int
from equiangular.training.config.budget import Budget, fingerprint
from equiangular.training.config.hardware import DECISIVE, Hardware

if TYPE_CHECKING:
    from equiangular.training.methods import Method

# The rows of the main job, in the order of its table.
DEFAULT_METHODS = (
    "linear-ce",
    "linear-ce-pc",
    "linear-la",
    "cosine-la",
    "random-la",
    "etf-ce",
    "etf-ce-pc",
    "etf-la",
    "etf-dr",
    "etf-dr-pc",
    "best",
)


@dataclass(frozen=True)
class CompareConfig:
    """A comparison of methods on one data set, paired by seed.

    Run ``r`` of every method uses training seed ``r`` and the same training subset. The subset's seed is apart from the
    training seed: ``subset_seed=None`` draws subset ``r`` for run ``r``, so that the confidence intervals cover the
    choice of the training samples as well; an integer keeps one subset for all runs.

    Attributes:
        data: name of a data set, see :func:`equiangular.data.load_dataset`.
        root: folder of named data sets; by default the environment variable EQUIANGULAR_DATA.
        size: pad images to a square and resize them to this height and width, in pixels.
        memory: ``"auto"``, ``"memory"`` or ``"stream"``: whether images are decoded once or at every use.
        imbalance: imbalance factor n_max / n_min of the training cut; 1 keeps the data as it is.
        profile: ``"exp"`` or ``"step"``.
        protocol: how the samples of the cut are chosen: ``"local"``, or ``"cao2019"`` as for the published CIFAR-LT.
        methods: names of methods, see :data:`equiangular.training.METHODS`.
        seeds: number of paired runs of every method.
        subset_seed: see above.
        holdout: fraction of each class of the training cut held out to calibrate the prior correction. It is left out
            of training for every method alike.
        backbone: name of the backbone, see :func:`equiangular.models.make_backbone`; ``"auto"`` fits the data.
        width: multiplies the sizes of the backbone's layers.
        budget: optimisation and augmentation, equal for all.
        hardware: what the trainings run on; one process each.
        head_options: options of the head of single methods, such as ``{"etf-la": {"norm": "batch"}}``, beside those of
            the method itself; tuned on validation data as well.
        thresholds: few-shot classes have fewer than the first, many-shot ones more than the second (training samples).

    Raises:
        ValueError: a value is out of range or a method unknown.
    """

    data: str = "digits"
    root: str | None = None
    size: int | None = None
    memory: str = "auto"
    imbalance: float = 100.0
    profile: str = "exp"
    protocol: str = "local"
    methods: tuple[str, ...] = DEFAULT_METHODS
    seeds: int = 10
    subset_seed: int | None = None
    holdout: float = 0.2
    backbone: str = "auto"
    width: float = 1.0
    budget: Budget = field(default_factory=Budget)
    hardware: Hardware = field(default_factory=lambda: Hardware(accelerator="cpu"))
    head_options: dict[str, dict[str, Any]] = field(default_factory=dict)
    thresholds: tuple[int, int] = (20, 100)

    def __post_init__(self) -> None:
        from equiangular.training.augment import Augmentation, Mixing
        from equiangular.training.methods import get_method

        Augmentation.parse(self.budget.augment)
        Mixing.parse(self.budget.mix)
        check_imbalance_factor(self.imbalance)
        check_choice(self.profile, ("exp", "step"), "profile")
        check_choice(self.protocol, ("local", "cao2019"), "protocol")
        check_int(self.seeds, "seeds", minimum=2, hint="A confidence interval needs two runs.")
        if self.subset_seed is not None:
            check_int(self.subset_seed, "subset_seed", minimum=0)
        if not 0 < self.holdout < 1:
            raise ValueError(f"holdout must lie strictly between 0 and 1, got {self.holdout!r}.")
        if not self.methods:
            raise ValueError("no method to compare; name at least one, such as etf-la.")
        for name in (*self.methods, *self.head_options):
            get_method(name)

    def trained_method(self, method: Method) -> Method:
        """The method with the head options that this comparison gives to its training."""
        options = self.head_options.get(method.training_name, {})
        return replace(method, head_options={**method.head_options, **options})

    def subset_seed_of(self, seed: int) -> int:
        """The subset seed of the run with training seed ``seed``."""
        return seed if self.subset_seed is None else self.subset_seed

    def as_dict(self) -> dict[str, Any]:
        """JSON-plain values."""
        return asdict(self)

    def run_fingerprint(self, training_name: str) -> str:
        """Hash of everything one training run depends on beside its seed; which other methods run is not among it."""
        values = self.as_dict()
        for key in ("methods", "seeds", "head_options", "root", "memory", "hardware"):
            values.pop(key)
        values |= {key: getattr(self.hardware, key) for key in DECISIVE}
        head = self.head_options.get(training_name, {})
        return fingerprint({**values, "head": head, "training": training_name, "format": 3})
