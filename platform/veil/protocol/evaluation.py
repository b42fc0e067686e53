"""The judge: from an anonymizer to its score, over the attack ladder, the evaluator and the guards."""

import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from veil import __version__
from veil.atomic import replace_when_complete
from veil.config import Settings, SuiteConfig
from veil.errors import ConfigError, ProtocolError
from veil.faces.detection import Detector
from veil.faces.table import FaceTable, images_to_tensor
from veil.interfaces import Anonymizer, FaceBatch
from veil.metrics.verification import tar_at_far
from veil.protocol.appearance import Appearance, Look
from veil.protocol.campaign import Campaign, Findings, embed
from veil.protocol.guards import (
    check_blackout,
    check_control,
    check_disjoint_identities,
    check_distinct_models,
    check_no_judge_steers,
    check_subject_pool,
)
from veil.protocol.jobs import Runner, run_in_turn
from veil.protocol.labelled import LabelledSet
from veil.protocol.measurement import (
    Leak,
    Measured,
    People,
    RocCurve,
    Spread,
    recovery_gap,
    weakest_control,
    worst_case,
)
from veil.protocol.pairs import compare
from veil.protocol.readings import mean_cosine
from veil.protocol.rendering import render
from veil.protocol.score import Estimate, LabelledSetScore, PersonScore, ProxyReading, TrialScore, suite_hash
from veil.runtime import Launcher

ATTACKER_SPLIT = "attacker"


class Evaluation(NamedTuple):
    """A score with what a person wants to look at.

    Attributes:
        score: the score card.
        anonymized_target: float32 (N, 3, 112, 112) in [-1, 1], the target faces as published, in the order of the
            split; (0, 3, 112, 112) where the anonymizer gave no images.
        curves: ROC by "recognizer/rung".
        cmc: (n,) share of probes whose person is among the k best, k = 1..n, by "recognizer/rung".
        spreads: each objective, and the control, in other samples of the people; those of two trials with the same data
            and suite belong together, sample by sample.
        reconstructions: float32 (N, 3, 112, 112) in [-1, 1], what attackers made of the anonymized faces, by
            "recognizer/rung".
    """

    score: TrialScore
    anonymized_target: Tensor
    curves: dict[str, RocCurve]
    cmc: dict[str, NDArray[np.float64]]
    spreads: dict[str, Spread]
    reconstructions: dict[str, Tensor]


class Calibration(Settings):
    """What images without content leak under a suite.

    Attributes:
        leak: worst case over the rungs.
        floor_95: 95th percentile of the worst case under permuted labels.
    """

    leak: Estimate
    floor_95: float


class Judge:
    """Scores anonymizers by one suite on one group of people; built once a process.

    Args:
        suite: the attacks.
        recognizers: frozen nets that score, by name; each has `asset_sha256`.
        evaluator: frozen expression net that scores; has `name` and `asset_sha256`.
        faces: the whole table; the target split and the attacker's own people are taken from it.
        target_split: people under attack.
        cache: folder for what is computed once (outputs on clear images, blackout calibration).
        proxies: recognizers from inside the loss, by name; they are read, and never count.
        detector: finds faces in anonymized crops; None measures no detection rate.
        features: frozen net whose features judge realism; None measures no realism.
        perceptual: frozen perceptual distance; None measures none.
        labelled: more faces with labelled expressions, by the name of their set, on which the evaluator is asked too.
        also_judging: SHA-256 of the weights, by name, of recognizers that score the same anonymizers on other people.
        device: where nets and anonymizer run.
        run_attacks: runs the attacks of a score, here one after another or elsewhere side by side.

    Raises:
        ProtocolError: a person is in two splits, or a model that scores is also inside the loss.
        ConfigError: an attacker is unknown, its settings are wrong, or no recognizer is given.
        DataError: a split is missing.
    """

    def __init__(
        self,
        suite: SuiteConfig,
        recognizers: Mapping[str, nn.Module],
        evaluator: nn.Module,
        faces: FaceTable,
        target_split: Literal["search", "sealed"],
        cache: Path,
        proxies: Mapping[str, nn.Module] | None = None,
        detector: Detector | None = None,
        features: nn.Module | None = None,
        perceptual: nn.Module | None = None,
        labelled: Mapping[str, FaceTable] | None = None,
        also_judging: Mapping[str, str] | None = None,
        device: str | torch.device = "cpu",
        run_attacks: Runner = run_in_turn,
    ) -> None:
        if not recognizers:
            raise ConfigError("no recognizer scores; name one in `roles.search` or `roles.report`")
        self.suite = suite
        self._proxies = dict(proxies or {})
        self._device = device
        self._cache = cache
        self._target_split = target_split
        shas = {name: weights_of(net) for name, net in recognizers.items()}
        proxy_shas = {name: weights_of(net) for name, net in self._proxies.items()}
        check_distinct_models(shas, proxy_shas)
        check_disjoint_identities(faces)
        self._data_hash = faces.data_hash
        self._contract_hash = faces.contract_hash
        self._target = faces.split(target_split)
        self._owned = faces.split(ATTACKER_SPLIT)
        self._recognizers = {**(also_judging or {}), **shas}
        self._evaluator = (str(evaluator.name), weights_of(evaluator))
        self.suite_hash = suite_hash(suite, shas, self._evaluator)
        self._models = (
            {f"recognizer/{name}": sha for name, sha in shas.items()}
            | {f"proxy/{name}": sha for name, sha in proxy_shas.items()}
            | {f"evaluator/{evaluator.name}": weights_of(evaluator)}
            | {f"realism/{net.name}": weights_of(net) for net in (features, perceptual) if net is not None}
        )
        judges = [net for net in (evaluator, features, perceptual) if net is not None]
        for net in (*recognizers.values(), *self._proxies.values(), *judges):
            net.to(device)
        people = People(self._target.identity_indices, self._target.source_indices, suite)
        self._campaign = Campaign(
            suite, dict(recognizers), self._target, self._owned, people, cache, device, run_attacks
        )
        self._appearance = Appearance(self._target, people, evaluator, detector, features, perceptual, cache, device)
        self._labelled = {
            name: LabelledSet(table, evaluator, suite, cache, device) for name, table in (labelled or {}).items()
        }
        self._calibration: Calibration | None = None

    def calibrate(self, batch_size: int = 16) -> Calibration:
        """What images without content leak under this suite; computed once and kept in the cache.

        Raises:
            ProtocolError: an attack could not be carried out even on them.
        """
        if self._calibration is None:
            path = self._cache / f"blackout-{self._target_split}-{self.suite_hash}-{self._data_hash}.json"
            if not path.exists():
                calibration = self._attack_blackout(batch_size)
                with replace_when_complete(path) as temporary:
                    temporary.write_text(calibration.model_dump_json(indent=2), encoding="utf-8")
            self._calibration = Calibration.model_validate_json(path.read_text(encoding="utf-8"))
        return self._calibration

    def score(self, anonymizer: Anonymizer, batch_size: int = 16, launcher: Launcher | None = None) -> Evaluation:
        """Anonymize, attack, and score.

        A score that would not mean what it says is returned as invalid, with the reason and without objectives; it is
        never replaced by a number.

        Args:
            anonymizer: what is judged.
            batch_size: faces anonymized or embedded at once.
            launcher: runs the training of attackers that train nets; None trains here.
        """

        def publish() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
            check_no_judge_steers(getattr(anonymizer, "models", {}), self._recognizers, self._evaluator)
            pool = getattr(anonymizer, "pool", None)
            if pool is not None:
                check_subject_pool(pool, (*self._target.identities, *self._owned.identities))
            target, owned = (render(anonymizer, part, batch_size, self._device) for part in (self._target, self._owned))
            return target, owned

        def read_labelled() -> dict[str, LabelledSetScore]:
            scores = {name: labelled.measure(anonymizer, batch_size) for name, labelled in self._labelled.items()}
            return {name: score for name, score in scores.items() if score is not None}

        return self._score(publish, read_labelled, batch_size, launcher)

    def score_images(
        self,
        target: NDArray[np.uint8],
        owned: NDArray[np.uint8],
        batch_size: int = 16,
        launcher: Launcher | None = None,
    ) -> Evaluation:
        """Score images that somebody else's tool has anonymized.

        Args:
            target: uint8 (N, 3, 112, 112), RGB, the target faces in the order of their split.
            owned: the same of the attacker's own people.
            batch_size: faces embedded at once.
            launcher: as in `score`.
        """
        for images, table in ((target, self._target), (owned, self._owned)):
            if images.shape != table.crops.shape or images.dtype != np.uint8:
                raise ProtocolError(
                    f"found {images.dtype} {images.shape} anonymized images, expected uint8 {table.crops.shape}"
                )
        return self._score(lambda: (target, owned), dict, batch_size, launcher)

    def _score(
        self,
        publish: Callable[[], tuple[NDArray[np.uint8], NDArray[np.uint8]]],
        read_labelled: Callable[[], dict[str, LabelledSetScore]],
        batch_size: int,
        launcher: Launcher | None,
    ) -> Evaluation:
        clock = _Clock()
        progress = _Progress()
        try:
            with clock.part("calibrate"):
                calibration = self.calibrate(batch_size)
            check_blackout(calibration.leak, calibration.floor_95, self.suite.far)
            with clock.part("anonymize"):
                target, owned = publish()
            progress.anonymized = target
            progress.findings = self._campaign.run(target, owned, batch_size, launcher)
            if progress.findings.failures:
                raise ProtocolError("; ".join(progress.findings.failures))
            check_control([item.score for item in progress.findings.measured], self.suite.min_control_tar)
            with clock.part("appearance"):
                progress.look = self._appearance.measure(target, batch_size)
            with clock.part("labelled"):
                progress.labelled = read_labelled()
            with clock.part("proxies"):
                for name, net in self._proxies.items():
                    progress.proxy[name] = self._read_proxy(name, net, target, batch_size)
            values, spreads = self._objectives(progress.findings.measured, progress.look)
        except ProtocolError as error:
            values, spreads = {"valid": False, "reason": str(error)}, {}
        return self._evaluation(values, spreads, progress, clock.seconds | progress.findings.seconds)

    def _objectives(self, measured: Sequence[Measured], look: Look) -> tuple[dict[str, Any], dict[str, Spread]]:
        leak = self._worst_case(measured)
        several = len(self._campaign.recognizers) > 1
        strongest = f"{leak.strongest.recognizer}/{leak.strongest.name}" if several else leak.strongest.name
        values = {
            "valid": True,
            "objectives": {"leak": leak.estimate, **look.objectives},
            "strongest": strongest,
            "leak_floor_mean": leak.floor_mean,
            "leak_floor_95": leak.floor_95,
            "recovery_gap": recovery_gap(measured),
            "people": tuple(
                PersonScore(tar=None if np.isnan(tar) else tar, utility=utility)
                for tar, utility in zip(leak.by_person.tolist(), look.utility_by_person.tolist(), strict=True)
            ),
        }
        return values, {"leak": leak.spread, "control": weakest_control(measured), **look.spreads}

    def _worst_case(self, measured: Sequence[Measured]) -> Leak:
        leak = worst_case(measured)
        if leak is None:
            raise ProtocolError(f"the suite attacks nothing: {', '.join(self.suite.attackers)}")
        return leak

    def _read_proxy(self, name: str, net: nn.Module, target: NDArray[np.uint8], batch_size: int) -> ProxyReading:
        people = embed(name, net, self._target, target, batch_size, self._cache, self._device)
        naive = compare("naive", people, people.clear, people.anonymized, "probe")
        return ProxyReading(
            cosine=mean_cosine(people.clear, people.anonymized),
            naive_tar=tar_at_far(naive.scores[naive.genuine], naive.scores[~naive.genuine], self.suite.far),
        )

    def _attack_blackout(self, batch_size: int) -> Calibration:
        target, owned = (render(_blackout, part, batch_size, self._device) for part in (self._target, self._owned))
        findings = self._campaign.run(target, owned, batch_size, rehearsal=True)
        if findings.failures:
            raise ProtocolError(f"on images without content: {'; '.join(findings.failures)}")
        leak = self._worst_case(findings.measured)
        return Calibration(leak=leak.estimate, floor_95=leak.floor_95)

    def _evaluation(
        self,
        values: dict[str, Any],
        spreads: dict[str, Spread],
        progress: "_Progress",
        seconds: dict[str, float],
    ) -> Evaluation:
        look, measured = progress.look, progress.findings.measured
        score = TrialScore(
            **values,
            rungs=tuple(item.score for item in measured),
            recognizers=progress.findings.readings,
            expression=look.expression if look else None,
            realism=look.realism if look else None,
            detection=look.detection if look else None,
            proxy=progress.proxy,
            target_split=self._target_split,
            n_images=len(self._target),
            undetected=self._target.undetected,
            without_landmarks=self._target.without_landmarks,
            low_resolution=self._target.low_resolution,
            labelled_sets=progress.labelled,
            suite_hash=self.suite_hash,
            data_hash=self._data_hash,
            contract_hash=self._contract_hash,
            models=self._models,
            seeds={"suite": self.suite.seed, **_attacker_seeds(self.suite)},
            versions={
                "veil": __version__,
                "python": platform.python_version(),
                "torch": torch.__version__,
                "numpy": np.__version__,
            },
            seconds=seconds,
        )
        by_name = {f"{item.score.recognizer}/{item.score.name}": item for item in measured}
        return Evaluation(
            score=score,
            anonymized_target=images_to_tensor(progress.anonymized),
            curves={name: item.curve for name, item in by_name.items()},
            cmc={name: item.cmc for name, item in by_name.items()},
            spreads=spreads,
            reconstructions={
                name: images_to_tensor(images) for name, images in progress.findings.reconstructions.items()
            },
        )


def evaluate(anonymizer: Anonymizer, judge: Judge, batch_size: int = 16) -> TrialScore:
    """Score card of an anonymizer; `Judge.score` also returns images and ROC curves."""
    return judge.score(anonymizer, batch_size).score


def weights_of(net: nn.Module) -> str:
    """SHA-256 of the weights of a frozen net."""
    return str(net.asset_sha256)


def _attacker_seeds(suite: SuiteConfig) -> dict[str, int]:
    several = range(suite.attacker_seeds if suite.attacker_seeds > 1 else 0)
    return {f"attackers/{index}": suite.seed + index for index in several}


def _blackout(faces: FaceBatch) -> Tensor:
    return torch.full_like(faces.images, -1.0)


class _Progress:
    """What has been measured so far, so that an invalid score still shows it."""

    def __init__(self) -> None:
        self.anonymized = np.empty((0, 3, 112, 112), np.uint8)
        self.findings = Findings()
        self.look: Look | None = None
        self.proxy: dict[str, ProxyReading] = {}
        self.labelled: dict[str, LabelledSetScore] = {}


class _Clock:
    """Wall time by part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started
