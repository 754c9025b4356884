#!/usr/bin/env bash
# transformers 5.24.0: three families of image processors treat a palette image (GIF, 8-bit PNG) in three ways. Two of them,
# EfficientNet and DINOv3, take the palette *indices* for grey levels and say nothing.
#
# Guess before the run: a processor either converts every image to RGB or refuses what is not RGB, and all do the same.
# Seen: CLIP, SigLIP and BiT convert (`do_convert_rgb`). ViT and ConvNeXt raise an error about shapes or broadcasting.
# EfficientNet's and DINOv3's torchvision backend, the default where torchvision is installed, keep the one channel of
# indices, rescale and normalise it as if it were brightness, and let it broadcast to three channels. The encoder then sees
# an image that depends on the order of the palette. EfficientNet's Pillow backend refuses the very same image, so whether
# one is told depends on torchvision being installed. Convert with `image.convert("RGB")` before any of them.
# Output seen on 2026-11-28 (torch 2.13.0, torchvision 0.28.0, Pillow 13.0.0, Python 3.11):
#   CLIPImageProcessor             as RGB
#   SiglipImageProcessor           as RGB
#   BitImageProcessor              as RGB
#   ViTImageProcessor              refused (RuntimeError)
#   ConvNextImageProcessor         refused (RuntimeError)
#   EfficientNetImageProcessor     other pixels: mean difference 1.44 standard deviations
#   DINOv3ViTImageProcessor        other pixels: mean difference 1.48 standard deviations
#   EfficientNetImageProcessorPil  refused (ValueError)
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 torchvision==0.28.0 transformers==5.24.0 pillow==13.0.0 numpy
OMP_NUM_THREADS=1 "$work/venv/bin/python" -W ignore - <<'PY'
import sys

import torch

try:
    import torchvision  # noqa: F401
except RuntimeError:  # its wheel does not find the operators of a CPU build of torch; none of them is used here
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
import numpy as np
import transformers
from PIL import Image

ramp = np.linspace(0, 255, 320).astype("uint8")
picture = np.stack([np.tile(ramp, (320, 1)), np.tile(ramp[:, None], (1, 320)), np.full((320, 320), 90, "uint8")], -1)
palette = Image.fromarray(picture).quantize(64)
rgb = palette.convert("RGB")


def outcome(name):
    processor = getattr(transformers, name)()
    wanted = processor(rgb, return_tensors="pt")["pixel_values"]
    try:
        found = processor(palette, return_tensors="pt")["pixel_values"]
    except (ValueError, RuntimeError) as error:
        return f"refused ({type(error).__name__})"
    if found.shape != wanted.shape:
        return f"shape {tuple(found.shape)}"
    gap = float((found - wanted).abs().mean() / wanted.std())
    return "as RGB" if gap < 1e-3 else f"other pixels: mean difference {gap:.2f} standard deviations"


seen = {}
for name in ("CLIP", "Siglip", "Bit", "ViT", "ConvNext", "EfficientNet", "DINOv3ViT"):
    seen[name] = outcome(f"{name}ImageProcessor")
    print(f"{name + 'ImageProcessor':30} {seen[name]}")
seen["Pil"] = outcome("EfficientNetImageProcessorPil")
print(f"{'EfficientNetImageProcessorPil':30} {seen['Pil']}")
assert all(seen[name] == "as RGB" for name in ("CLIP", "Siglip", "Bit"))
assert all(seen[name].startswith("refused") for name in ("ViT", "ConvNext", "Pil"))
assert all(seen[name].startswith("other pixels") for name in ("EfficientNet", "DINOv3ViT"))
PY
echo "as stated"
