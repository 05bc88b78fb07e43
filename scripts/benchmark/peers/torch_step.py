"""The peer: full training steps in PyTorch, eager or compiled.

python torch_step.py BACKBONE eager|compiled
"""

import json
import sys
import time

import torch
import torch_networks

_BATCH, _WARM, _STEPS = 32, 2, 4


def main(backbone: str, mode: str) -> None:
    """Prints pictures per second."""
    base, width = torch_networks.build(backbone, None)
    model = torch.nn.Sequential(base, torch.nn.Linear(width, 2)).train()
    step = torch.compile(model) if mode == "compiled" else model
    optimizer = torch.optim.SGD(model.parameters(), 1e-3, momentum=0.9)
    images = torch.randn(_BATCH, 3, 224, 224)
    labels = torch.arange(_BATCH) % 2
    for number in range(_WARM + _STEPS):
        if number == _WARM:
            start = time.perf_counter()
        loss = torch.nn.functional.cross_entropy(step(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    seconds = time.perf_counter() - start
    print(json.dumps({"rate": _STEPS * _BATCH / seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
