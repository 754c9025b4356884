import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from equiangular import simplex_etf
from equiangular.frames import load_frame, save_frame


@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_round_trip(tmp_path: Path, suffix: str, dtype: torch.dtype) -> None:
    frame = simplex_etf(5, 7, dtype=dtype)
    path = save_frame(tmp_path / f"f{suffix}", frame, metadata={"seed": "0"})
    assert torch.equal(load_frame(path), frame)
    assert load_frame(path).dtype == dtype
    if suffix == ".npy":
        assert np.load(path).shape == (5, 7)
        assert json.loads((tmp_path / "f.npy.json").read_text()) == {"seed": "0"}


def test_bfloat16_needs_safetensors(tmp_path: Path) -> None:
    frame = simplex_etf(5, 7, dtype=torch.bfloat16)
    assert torch.equal(load_frame(save_frame(tmp_path / "f.safetensors", frame)), frame)
    with pytest.raises(ValueError, match="no bfloat16"):
        save_frame(tmp_path / "f.npy", frame)
    assert os.listdir(tmp_path) == ["f.safetensors"]


def test_an_existing_file_is_kept_unless_told(tmp_path: Path) -> None:
    path = save_frame(tmp_path / "f.npy", simplex_etf(3))
    with pytest.raises(ValueError, match=r"exists\. Choose another name"):
        save_frame(path, simplex_etf(4))
    assert load_frame(path).shape == (3, 2)
    assert load_frame(save_frame(path, simplex_etf(4), overwrite=True)).shape == (4, 3)


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ends in \.npy or \.safetensors"):
        save_frame(tmp_path / "f.txt", simplex_etf(3))
    with pytest.raises(ValueError, match=r"does not exist\. Create it"):
        save_frame(tmp_path / "none" / "f.npy", simplex_etf(3))
    with pytest.raises(ValueError, match="does not exist"):
        load_frame(tmp_path / "none.npy")
    for suffix in (".npy", ".safetensors"):
        (tmp_path / f"bad{suffix}").write_bytes(b"not a frame")
        with pytest.raises(ValueError, match="is not a readable"):
            load_frame(tmp_path / f"bad{suffix}")
    np.save(tmp_path / "cube.npy", np.zeros((2, 2, 2)))
    with pytest.raises(ValueError, match=r"not a \(K, d\) frame"):
        load_frame(tmp_path / "cube.npy")
    np.save(tmp_path / "object.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="is not a readable"):
        load_frame(tmp_path / "object.npy")
