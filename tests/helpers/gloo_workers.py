"""Training functions on several processes; here, because a spawned process must be able to import it by name."""

import multiprocessing
import socket
from collections.abc import Callable

import torch
import torch.distributed as dist

from veil.runtime import Runtime


def _work(rank: int, world_size: int, port: int, train: Callable[[Runtime], None]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=world_size)
    train(Runtime(rank, world_size))
    dist.destroy_process_group()


def run_workers(world_size: int, train: Callable[[Runtime], None]) -> list[int | None]:
    """Run a picklable training function on every worker; returns their exit codes."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_work, args=(rank, world_size, port, train)) for rank in range(world_size)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return [worker.exitcode for worker in workers]
