"""Training functions on several processes; here, because a spawned process must be able to import it by name."""

import multiprocessing
import os
import socket
from collections.abc import Callable

import torch
import torch.distributed as dist

from veil.runtime import Runtime


def _work(rank: int, world_size: int, port: int, train: Callable[[Runtime], None], should_stop_on: int | None) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=world_size)
    train(Runtime(rank, world_size, "cpu", should_stop=lambda: rank == should_stop_on))
    dist.destroy_process_group()
    # Gloo's threads may outlive the group and abort a process whose interpreter is being finalized (PyTorch #179291).
    os._exit(0)


def run_workers(
    world_size: int, train: Callable[[Runtime], None], should_stop_on: int | None = None
) -> list[int | None]:
    """Run a picklable training function on every worker, one of which may be asked to stop; returns exit codes."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=_work, args=(rank, world_size, port, train, should_stop_on))
        for rank in range(world_size)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return [worker.exitcode for worker in workers]
