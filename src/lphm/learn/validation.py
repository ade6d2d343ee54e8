"""The loss and the score of a network on samples that it is not trained on."""

import torch
from torch import Tensor

from lphm.data.batches import Batch, Batches
from lphm.data.targets import TargetSchema
from lphm.distributed import gather_results
from lphm.learn.calibration import calibrate
from lphm.nn.network import InterdependenceNetwork


@torch.inference_mode()
def validate(
    network: InterdependenceNetwork, target: TargetSchema, validation: Batches, device: torch.device
) -> tuple[float, float, float]:
    """Loss, score, and factor of the outputs, in float32 as in predictions."""
    network.eval()

    def outputs() -> list[Batch]:  # with target and weight, of this process's share
        batches = validation.epoch(0)
        return [_judged(target, network(x.to(device)).cpu(), y, w) for x, y, w in batches]

    batches = [batch for share in gather_results(outputs) for batch in share]
    combined, y, weight = (torch.cat(part) for part in zip(*batches, strict=True))
    loss, factor = calibrate(target, combined, y, weight)
    return loss, target.score(combined, y, weight).item(), factor


def _judged(target: TargetSchema, outputs: Tensor, y: Tensor, weight: Tensor) -> Batch:
    """All members together judge samples that none learns from; else the members that do not."""
    if weight.dim() == 1:
        return target.combine(outputs), y, weight
    held_out = weight > 0
    return outputs[held_out], y.unsqueeze(1).expand_as(held_out)[held_out], weight[held_out]
