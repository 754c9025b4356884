"""Names of the last release go on working, and say the new one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

import equiangular as eq
from equiangular.heads import Head, IncrementalETFHead, RotatedETFHead
from equiangular.heads.describe import build_described, describe_head


def attached(**options: object) -> Head:
    return eq.find_head(eq.attach(nn.Sequential(nn.Linear(8, 12)), **options))


BASIS = 'basis="best" .* basis="spread"'
CASES = [  # old, new, what the warning says
    (lambda: eq.best_head(8, 3, seed=1), lambda: eq.recommended_head(8, 3, seed=1), "best_head is .* recommended_head"),
    (lambda: eq.make_head("best", 8, 3), lambda: eq.make_head("recommended", 8, 3), "the head 'best' .* 'recommended'"),
    (lambda: attached(head="best"), lambda: attached(head="recommended"), "the head 'best' .* 'recommended'"),
    (lambda: attached(basis="best"), lambda: attached(basis="spread"), BASIS),
    (lambda: eq.ETFHead(4, 8, basis="best"), lambda: eq.ETFHead(4, 8, basis="spread"), BASIS),
    (lambda: RotatedETFHead(4, 8, basis="best"), lambda: RotatedETFHead(4, 8, basis="spread"), BASIS),
    (
        lambda: IncrementalETFHead(4, 5, reserved=3, basis="best"),
        lambda: IncrementalETFHead(4, 5, reserved=3, basis="spread"),
        BASIS,
    ),
]


@pytest.mark.parametrize(("old", "new", "message"), CASES)
def test_they_make_the_same_head(old: Callable[[], Head], new: Callable[[], Head], message: str) -> None:
    with pytest.warns(DeprecationWarning, match=message) as caught:
        before = old()
    assert [warning.filename for warning in caught] == [__file__]  # the caller's line, however deep it was found
    after = new()
    assert repr(before) == repr(after)
    states = before.state_dict(), after.state_dict()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_stored_description_is_read_without_a_warning() -> None:
    head = eq.ETFHead(4, 8, basis="spread", seed=2)
    description = describe_head(head)
    assert description["options"]["basis"] == "spread"
    description["options"]["basis"] = "best"  # as the last release wrote it
    again = build_described(description, 4, 8, head.state_dict())
    assert torch.equal(again.weight, head.weight)
    assert describe_head(again) == describe_head(head)


def test_they_are_not_offered() -> None:
    assert not {"best_head", "best_frame"} & {*dir(eq), *eq.__all__, *eq.heads.__all__, *eq.frames.__all__}
    with pytest.raises(ValueError, match=r"basis must be one of .*'spread', got 'bets'") as error:
        eq.ETFHead(4, 8, basis="bets")
    assert "'best'" not in str(error.value)
