"""Weights spread over the processes (FSDP2), for models whose training one GPU cannot hold."""

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from workflow.lib.model.gpt import GPTModel


def shard(model: GPTModel, root: nn.Module, device: torch.device) -> nn.Module:
    """Leave each process its part of every weight, on its device.

    A block's weights are put together when it is computed and taken apart after it, so that no
    process ever holds more than one block, or embeddings and head, beside its own part.

    Args:
        model: on the CPU; changed in place.
        root: the module that calls it; its forward is where the weights are whole.
    """
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    for block in model.trf_blocks:
        fully_shard(block, mesh=mesh, reshard_after_forward=True)
    fully_shard(root, mesh=mesh, reshard_after_forward=True)
    for module in root.modules():
        if isinstance(module, FSDPModule):  # gradients are added up, not averaged
            module.set_force_sum_reduction_for_comms(True)
            module.set_gradient_divide_factor(1.0)
    return root


def gathered(tensors: dict[str, Tensor], keep: bool) -> dict[str, Tensor]:
    """Spread tensors put together on the CPU; all processes must call this together.

    Args:
        tensors: spread or not.
        keep: whether this process wants them; the others get an empty dict.
    """
    found = {}
    for name, tensor in tensors.items():
        whole = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        if keep:
            found[name] = whole.detach().cpu()
    return found


def part_of(whole: Tensor, like: Tensor) -> Tensor:
    """This process's part of a tensor that all have whole, as another one is spread.

    Args:
        whole: the same in every process.
        like: of the same shape if it is to be spread; else nothing happens, as with AdamW's steps.
    """
    if not isinstance(like, DTensor) or whole.shape != like.shape:
        return whole
    whole = whole.to(like.device, like.dtype)
    return distribute_tensor(whole, like.device_mesh, like.placements, src_data_rank=None)
