"""Attackers of one trial side by side, as Ray tasks on the cores that the trial holds and does not use meanwhile."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import ray
import torch
from ray import ObjectRef
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from torch import nn

from veil.config import Settings
from veil.interfaces import AttackSetting
from veil.protocol.jobs import AttackJob, AttackResult, is_adaptive


class RayAttackRunner:
    """Runs adaptive attackers as tasks, at most `slots` at once, and the others in this process.

    A waiting trial leaves its cores idle. Its tasks take no resources of their own and run on its own node, so they use
    these cores and no others: a cluster on which every core belongs to a trial cannot deadlock. Settings, with images
    and embeddings, and recognizers are stored once and shared by all tasks.

    Args:
        slots: cores that the trial holds.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._nets: dict[int, ObjectRef] = {}

    def __call__(self, jobs: Sequence[AttackJob]) -> list[AttackResult]:
        """Run jobs and return their results in order."""
        waiting = [index for index, job in enumerate(jobs) if is_adaptive(job.rung)]
        threads = max(1, self._slots // max(1, min(self._slots, len(waiting))))
        stored: dict[int, ObjectRef] = {}
        running: dict[ObjectRef, int] = {}
        results: dict[int, AttackResult] = {}

        def start() -> None:
            while waiting and len(running) < self._slots:
                index = waiting.pop(0)
                running[self._submit(jobs[index], stored, threads)] = index

        start()
        for index, job in enumerate(jobs):
            if not is_adaptive(job.rung):
                results[index] = job.run()
        while running:
            [done], _ = ray.wait(list(running), num_returns=1)
            results[running.pop(done)] = ray.get(done)
            start()
        return [results[index] for index in range(len(jobs))]

    def _submit(self, job: AttackJob, stored: dict[int, ObjectRef], threads: int) -> ObjectRef:
        setting, net = job.setting, job.setting.recognizer
        assert net is not None
        if id(setting) not in stored:
            stored[id(setting)] = ray.put(replace(setting, recognizer=None))
        if id(net) not in self._nets:
            self._nets[id(net)] = ray.put(net)
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        task: Any = _attack.options(scheduling_strategy=here)
        # Without the setting, whose arrays and net are stored.
        what = (job.recognizer, job.attacker, job.config, job.repetition)
        return task.remote(what, stored[id(setting)], self._nets[id(net)], threads)


# A task that died with its process is tried again; one that raised is a defect and is not.
@ray.remote(num_cpus=0, max_retries=1)
def _attack(
    what: tuple[str, str, Settings, int | None], setting: AttackSetting, net: nn.Module, threads: int
) -> AttackResult:
    torch.set_num_threads(threads)
    recognizer, attacker, config, repetition = what
    return AttackJob(recognizer, attacker, config, replace(setting, recognizer=net), repetition).run()
