from __future__ import annotations

import pytest
import torch


@pytest.fixture
def images():
    """Five images each of 1 and 3 channels with smooth parts, flat parts and noise; not square."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (5, 3, 20, 24), generator=generator, dtype=torch.uint8)
    noise[1] = (torch.arange(24) * 7).to(torch.uint8)
    noise[2] = 90 + noise[2] % 40
    noise[3, 1] = 17
    noise[4, :, :10] = 255
    return noise
