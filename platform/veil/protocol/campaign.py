"""The whole ladder against one set of published images: embed once, attack with everything, measure every rung."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from veil.config import SuiteConfig
from veil.errors import ProtocolError
from veil.faces.cache import cached_outputs
from veil.faces.table import FaceTable
from veil.interfaces import AttackSet, AttackSetting, Comparisons
from veil.protocol.fusion import fuse_recognizers
from veil.protocol.guards import check_comparisons
from veil.protocol.jobs import AttackJob, AttackResult, Runner, repetitions
from veil.protocol.measurement import Measured, People
from veil.protocol.readings import read_recognizer
from veil.protocol.rendering import net_outputs
from veil.protocol.score import RecognizerReading, attacker_configs
from veil.registry import attackers
from veil.runtime import Launcher

Bytes = NDArray[np.uint8]


@dataclass
class Findings:
    """What a campaign finds.

    Attributes:
        measured: every rung that could be measured.
        readings: what each recognizer says beside its rungs.
        reconstructions: uint8 (N, 3, 112, 112), faces that attackers made, by "recognizer/attack".
        failures: attacks that could not be carried out or whose comparisons were refused, and why.
        seconds: wall time by part.
    """

    measured: list[Measured] = field(default_factory=list)
    readings: dict[str, RecognizerReading] = field(default_factory=dict)
    reconstructions: dict[str, Bytes] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Campaign:
    """The attacks of one suite on one group of people.

    Attributes:
        suite: the attacks.
        recognizers: frozen nets that score, by name.
        target: the people under attack.
        owned: people whose images the attackers hold.
        people: resamples and permutations of the people under attack.
        cache: folder for outputs on clear images, and scratch folder of the attackers.
        device: where nets run.
        run_attacks: runs the jobs.
    """

    suite: SuiteConfig
    recognizers: Mapping[str, nn.Module]
    target: FaceTable
    owned: FaceTable
    people: People
    cache: Path
    device: str | torch.device
    run_attacks: Runner

    def run(
        self,
        target: Bytes,
        owned: Bytes,
        batch_size: int,
        launcher: Launcher | None = None,
        rehearsal: bool = False,
    ) -> Findings:
        """Attack.

        Args:
            target: uint8 (N, 3, 112, 112), RGB, published images of the people under attack.
            owned: the same of the attackers' own people.
            batch_size: images embedded at once.
            launcher: runs the training of attackers that train nets; None trains in their own process.
            rehearsal: whether the images are known to be without content, so that attackers may be brief.
        """
        findings = Findings()
        started = time.perf_counter()
        settings = {
            name: self._setting(name, target, owned, batch_size, launcher, rehearsal) for name in self.recognizers
        }
        embedded = time.perf_counter()
        jobs = [
            AttackJob(recognizer, attacker, config, setting, repetition)
            for recognizer, setting in settings.items()
            for attacker, config in attacker_configs(self.suite).items()
            for repetition in repetitions(self.suite, attackers.get(attacker).rung, config)
        ]
        results = self.run_attacks(jobs)
        attacked = time.perf_counter()
        for job, result in zip(jobs, results, strict=True):
            part = f"attack/{job.attacker}"
            findings.seconds[part] = findings.seconds.get(part, 0.0) + result.seconds
            if result.failure is not None:
                findings.failures.append(result.failure)
        self._measure(jobs, results, findings)
        findings.seconds |= {
            "embed": embedded - started,
            "attack": attacked - embedded,
            "measure": time.perf_counter() - attacked,
        }
        return findings

    def _measure(self, jobs: Sequence[AttackJob], results: Sequence[AttackResult], findings: Findings) -> None:
        by_recognizer: dict[str, dict[str, Comparisons]] = {name: {} for name in self.recognizers}
        for job, result in zip(jobs, results, strict=True):
            for comparisons in result.comparisons:
                self._measure_one(job.recognizer, job.rung, comparisons, findings)
                by_recognizer[job.recognizer][comparisons.name] = comparisons
        for rung, fused in self._ensembles(jobs, results):
            self._measure_one("+".join(self.recognizers), rung, fused, findings)
        for name in self.recognizers:
            target = next(job.setting.target for job in jobs if job.recognizer == name)
            try:
                findings.readings[name] = read_recognizer(target, by_recognizer[name], self.people, self.suite.far)
            except (ProtocolError, ValueError) as error:
                findings.failures.append(f"recognizer {name!r}: {error}")

    def _measure_one(self, recognizer: str, rung: str, comparisons: Comparisons, findings: Findings) -> None:
        try:
            check_comparisons(comparisons, self.suite.far, self.suite.min_false_accepts)
            findings.measured.append(self.people.measure(comparisons, rung, recognizer))
        except ProtocolError as error:
            findings.failures.append(str(error))
            return
        if comparisons.reconstructions is not None:
            findings.reconstructions[f"{recognizer}/{comparisons.name}"] = comparisons.reconstructions

    def _ensembles(
        self, jobs: Sequence[AttackJob], results: Sequence[AttackResult]
    ) -> Iterator[tuple[str, Comparisons]]:
        """Attacks that pool the scores of all recognizers, where there are several."""
        groups: dict[tuple[str, str], list[Comparisons]] = {}
        for job, result in zip(jobs, results, strict=True):
            if attackers.get(job.attacker).ensembles:
                for comparisons in result.comparisons:
                    groups.setdefault((job.rung, comparisons.name), []).append(comparisons)
        for (rung, name), group in groups.items():
            if len(group) == len(self.recognizers) > 1:
                yield rung, fuse_recognizers(name, group)

    def _setting(
        self, name: str, target: Bytes, owned: Bytes, batch_size: int, launcher: Launcher | None, rehearsal: bool
    ) -> AttackSetting:
        net = self.recognizers[name]
        return AttackSetting(
            target=embed(name, net, self.target, target, batch_size, self.cache, self.device),
            owned=embed(name, net, self.owned, owned, batch_size, self.cache, self.device),
            seed=self.suite.seed,
            recognizer=net,
            device=str(self.device),
            launcher=launcher,
            folder=self.cache,
            rehearsal=rehearsal,
        )


def embed(
    name: str,
    net: nn.Module,
    faces: FaceTable,
    images: Bytes,
    batch_size: int,
    cache: Path,
    device: str | torch.device,
) -> AttackSet:
    """Faces as an attacker with one recognizer sees them; embeddings of the originals come from the cache.

    Args:
        name: of the recognizer.
        net: the recognizer; has `asset_sha256`.
        faces: N originals.
        images: uint8 (N, 3, 112, 112), RGB, the same faces as published.
        batch_size: images at once.
        cache: folder of what was computed on originals.
        device: where the net runs.
    """
    clear = cached_outputs(faces, name, str(net.asset_sha256), lambda originals: net(originals.to(device)), cache)
    return AttackSet(
        identities=np.asarray(faces.identity_indices),
        sources=np.asarray(faces.source_indices),
        clear=np.asarray(clear),
        anonymized=net_outputs(net, images, batch_size, device),
        clear_images=np.asarray(faces.crops),
        anonymized_images=images,
    )
