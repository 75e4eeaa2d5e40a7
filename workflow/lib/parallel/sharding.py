"""Weights sharded over the processes (FSDP2), for models whose training one GPU cannot hold."""

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from workflow.lib.model.gpt import GPTModel


def shard_weights(model: GPTModel, root: nn.Module, device: torch.device) -> nn.Module:
    """Shard every weight over the processes, each part on the device of its process.

    A block's weights are gathered before it is computed and freed after it, so that no process ever
    holds more than one block, or embeddings and head, beside its own part.

    Args:
        model: on the CPU; changed in place.
        root: the module that calls it; embeddings and head are gathered in its forward.
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


def gather_full(tensors: dict[str, Tensor], keep: bool) -> dict[str, Tensor]:
    """Gather sharded tensors on the CPU; all ranks must call this together.

    Args:
        tensors: sharded or not.
        keep: whether this rank wants them; the others get an empty dict.
    """
    found = {}
    for name, tensor in tensors.items():
        full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        if keep:
            found[name] = full.detach().cpu()
    return found


def local_part(full: Tensor, like: Tensor) -> Tensor:
    """Return this rank's part of a tensor that all hold in full, sharded as another one is.

    Args:
        full: the same in every process.
        like: of the same shape if `full` is to be sharded; AdamW's step counts are not.
    """
    if not isinstance(like, DTensor) or full.shape != like.shape:
        return full
    full = full.to(like.device, like.dtype)
    return distribute_tensor(full, like.device_mesh, like.placements, src_data_rank=None)
