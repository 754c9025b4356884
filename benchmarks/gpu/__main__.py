"""One section of ``benchmarks/gpu.sh``: ``python benchmarks/gpu SECTION --output FILE``.

``equality``: the same numbers as on the CPU. ``waits``: operations that make the host wait for the device. ``steps``:
heads and losses, forward and backward, beside a linear classifier with cross-entropy. ``measures``: collapse, frames,
nearest class vectors and closed forms beside plain PyTorch. ``training``: the engine beside a bare loop.
``accuracy``: the recipe `fast` beside `recommended`, accuracy over time. ``tests``: the fast tests with tensors on the
device.
"""

from __future__ import annotations

import argparse
import importlib
import json
import time
from pathlib import Path

import torch

from equiangular._files import write_json
from equiangular._provenance import provenance

SECTIONS = ("equality", "waits", "steps", "measures", "training", "accuracy", "tests")


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks/gpu", description=__doc__.split("\n")[0])
    parser.add_argument("section", choices=SECTIONS)
    parser.add_argument("--device", default="cuda", help="cuda; cpu rehearses")
    parser.add_argument("--small", action="store_true", help="sizes for a rehearsal")
    parser.add_argument("--output", type=Path, required=True, help="JSON file, added to")
    args = parser.parse_args()
    device = torch.device(args.device)

    kept = json.loads(args.output.read_text()) if args.output.exists() else {}

    def keep(result: object, *, complete: bool) -> None:
        """Called by the section whenever it knows more, so that its time limit loses nothing."""
        kept[args.section] = {"complete": complete, "seconds": time.time() - start, "result": result}
        args.output.parent.mkdir(parents=True, exist_ok=True)
        write_json(args.output, kept)

    kept["provenance"] = provenance()
    kept["device"] = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu, a rehearsal"
    start = time.time()
    section = importlib.import_module(f"on_{args.section}")
    result = section.run(device, small=args.small, keep=lambda part: keep(part, complete=False))
    keep(result, complete=True)


main()
