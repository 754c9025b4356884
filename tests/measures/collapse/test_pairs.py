import torch

from equiangular.measures.collapse.nc2 import squared_distances


def test_close_points_keep_their_digits() -> None:
    """Against differences in float64, for points from far apart to all but coinciding."""
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(20, 6, generator=generator, dtype=torch.float64)
    shifts = 10.0 ** torch.linspace(-14, 0, 20, dtype=torch.float64)[:, None]
    points = base + shifts * torch.randn(20, 6, generator=generator, dtype=torch.float64)
    expected = (base[:, None] - points).square().sum(2)
    ours = squared_distances(base, points)
    naive = base.square().sum(1)[:, None] + points.square().sum(1) - 2 * base @ points.T
    assert ((ours - expected).abs() <= 1e-10 * expected).all()
    assert ((naive - expected).abs() > 0.1 * expected).any()
