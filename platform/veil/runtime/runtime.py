"""What a training loop knows of where it runs."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from veil.errors import ConfigError

Report = Callable[[dict[str, float], int], None]
"""Takes metrics by key and the images seen so far."""


def silent(metrics: dict[str, float], images_seen: int) -> None:
    """Report nothing."""


def never() -> bool:
    """Never ask to stop."""
    return False


@dataclass(frozen=True)
class Runtime:
    """One worker's view of the machine; injected, so that the same loop runs alone, distributed, and on a GPU.

    With `world_size` > 1, `torch.distributed` must be initialised (gloo or nccl) before a method is called.

    Attributes:
        rank: index of this worker, 0 to world_size - 1.
        world_size: number of workers.
        device: where this worker computes.
        report: takes metrics and the images seen; called on every worker, with the same values, through `log`. Ray
            Train waits until all workers have reported, so that whoever reports decides what to do with copies.
        should_stop: whether whoever started the training wants it to end at the next checkpoint.
        autocast_dtype: dtype of mixed precision; None computes in float32. bfloat16 only: float16 needs a loss scaler.
        compile: whether nets go through `torch.compile`.
        channels_last: whether nets and images use the channels-last layout, the faster one on CPUs and GPUs alike.
    """

    rank: int = 0
    world_size: int = 1
    device: torch.device | str = "cpu"
    report: Report = silent
    should_stop: Callable[[], bool] = never
    autocast_dtype: torch.dtype | None = None
    compile: bool = False
    channels_last: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "device", torch.device(self.device))
        if not 0 <= self.rank < self.world_size:
            raise ConfigError(
                f"rank is {self.rank}, expected 0 to {self.world_size - 1} (world_size {self.world_size})"
            )
        if self.autocast_dtype not in (None, torch.bfloat16):
            raise ConfigError(f"autocast dtype is {self.autocast_dtype}, expected None or torch.bfloat16")

    @property
    def is_main(self) -> bool:
        """Whether this worker writes files and reports."""
        return self.rank == 0

    def quiet(self) -> "Runtime":
        """The same runtime without reports, for work whose progress is not the trial's."""
        return replace(self, report=silent)

    def place(self, module: nn.Module) -> nn.Module:
        """Move a raw net to this worker's device and memory layout, in place."""
        module.to(self.device)
        if self.channels_last:
            # torch's stubs know the keyword only on a private overload.
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return module

    def images(self, images: Tensor) -> Tensor:
        """Move images (B, C, H, W) to this worker's device and memory layout."""
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        return images.to(self.device, non_blocking=True, memory_format=layout)

    def compiled(self, module: nn.Module) -> nn.Module:
        """The callable to run a net through when its own gradients are not wanted: compiled if asked, never DDP."""
        return cast(nn.Module, torch.compile(module)) if self.compile else module

    def wrap(self, module: nn.Module) -> nn.Module:
        """The callable to train a net through: DDP when there are several workers, compiled if asked.

        Keep the raw net: checkpoints, EMA and double backward (R1) need it, not the wrapped callable.
        """
        wrapped = self.compiled(module)
        if self.world_size == 1:
            return wrapped
        device_ids = [self.device] if cast(torch.device, self.device).type == "cuda" else None
        return DistributedDataParallel(wrapped, device_ids=device_ids)

    def autocast(self) -> AbstractContextManager[None]:
        """Context of mixed precision; does nothing when `autocast_dtype` is None."""
        device = cast(torch.device, self.device)
        return torch.autocast(device.type, dtype=self.autocast_dtype, enabled=self.autocast_dtype is not None)

    def mean_(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its mean over the workers, in one message."""
        tensors = list(tensors)
        if self.world_size == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.world_size
        offset = 0
        for tensor in tensors:
            tensor.copy_(flat[offset : offset + tensor.numel()].view_as(tensor))
            offset += tensor.numel()

    def mean(self, parts: Mapping[str, Tensor]) -> dict[str, float]:
        """Means over the workers of scalar tensors, as plain numbers; all workers get the same."""
        if not parts:
            return {}
        stacked = torch.stack([part.detach().float() for part in parts.values()])
        self.mean_([stacked])
        return dict(zip(parts, stacked.tolist(), strict=True))

    def log(self, metrics: dict[str, float], images_seen: int) -> None:
        """Report; metrics must already be means over the workers."""
        self.report(metrics, images_seen)

    def agree_to_stop(self) -> bool:
        """Whether any worker was asked to stop; all workers get the same answer, so that all leave at the same step."""
        asked = bool(self.should_stop())
        if self.world_size == 1:
            return asked
        flag = torch.tensor(float(asked), device=self.device)
        dist.all_reduce(flag, op=dist.ReduceOp.MAX)
        return bool(flag.item())

    def barrier(self) -> None:
        """Wait until every worker is here."""
        if self.world_size > 1:
            dist.barrier()
