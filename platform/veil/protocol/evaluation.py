"""The judge: from an anonymizer to its score, over the attack ladder, the evaluator and the guards."""

import platform
import time
from collections.abc import Iterator, Mapping
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
from veil.faces.cache import cached_outputs
from veil.faces.table import FaceTable, images_to_tensor
from veil.interfaces import Anonymizer, Attacker, AttackFailedError, AttackSet, AttackSetting, FaceBatch
from veil.metrics.bootstrap import bootstrap_mean
from veil.metrics.expression import class_collapse, js_divergence, kl_divergence, top1_agreement
from veil.metrics.realism import psnr, ssim
from veil.metrics.verification import tar_at_far, tar_at_threshold, threshold_at_far
from veil.protocol.guards import (
    check_blackout,
    check_comparisons,
    check_control,
    check_disjoint_identities,
    check_distinct_models,
)
from veil.protocol.measurement import Measured, People, RocCurve, estimate, worst_case
from veil.protocol.pairs import compare, unit
from veil.protocol.rendering import net_outputs, render
from veil.protocol.score import (
    Estimate,
    ExpressionScore,
    ProxyReading,
    RealismScore,
    TrialScore,
    attacker_configs,
    suite_hash,
)
from veil.registry import attackers

ATTACKER_SPLIT = "attacker"


class Evaluation(NamedTuple):
    """A score with what a person wants to look at.

    Attributes:
        score: the score card.
        anonymized_target: float32 (N, 3, 112, 112) in [-1, 1], the target faces as published, in the order of the
            split; (0, 3, 112, 112) where the anonymizer gave no images.
        curves: ROC by "recognizer/rung".
    """

    score: TrialScore
    anonymized_target: Tensor
    curves: dict[str, RocCurve]


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
        device: where nets and anonymizer run.

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
        device: str | torch.device = "cpu",
    ) -> None:
        if not recognizers:
            raise ConfigError("no recognizer scores; name one in `roles.search` or `roles.report`")
        self.suite = suite
        self._recognizers = dict(recognizers)
        self._proxies = dict(proxies or {})
        self._evaluator = evaluator
        self._device = device
        self._cache = cache
        self._target_split = target_split
        shas = {name: weights_of(net) for name, net in self._recognizers.items()}
        proxy_shas = {name: weights_of(net) for name, net in self._proxies.items()}
        check_distinct_models(shas, proxy_shas)
        check_disjoint_identities(faces)
        self._data_hash = faces.data_hash
        self._contract_hash = faces.contract_hash
        self._target = faces.split(target_split)
        self._owned = faces.split(ATTACKER_SPLIT)
        configs = attacker_configs(suite)
        self._attackers: dict[str, Attacker] = {name: attackers.get(name)(config) for name, config in configs.items()}
        evaluator_name = str(evaluator.name)
        self.suite_hash = suite_hash(suite, shas, (evaluator_name, weights_of(evaluator)))
        self._models = (
            {f"recognizer/{name}": sha for name, sha in shas.items()}
            | {f"proxy/{name}": sha for name, sha in proxy_shas.items()}
            | {f"evaluator/{evaluator_name}": weights_of(evaluator)}
        )
        for net in (*self._recognizers.values(), *self._proxies.values(), evaluator):
            net.to(device)
        self._people = People(self._attack_set(self._target, np.empty((0, 0)), np.empty((0, 0))), suite)
        self._calibration: Calibration | None = None

    def score(self, anonymizer: Anonymizer, batch_size: int = 16) -> Evaluation:
        """Anonymize, attack, and score.

        A score that would not mean what it says is returned as invalid, with the reason and without objectives; it is
        never replaced by a number.

        Args:
            anonymizer: what is judged.
            batch_size: faces anonymized or embedded at once.
        """
        clock = _Clock()
        progress = _Progress()
        try:
            with clock.part("calibrate"):
                calibration = self._calibrate(batch_size)
            check_blackout(calibration.leak, calibration.floor_95, self.suite.far)
            self._judge(anonymizer, batch_size, progress, clock)
        except (ProtocolError, AttackFailedError) as error:
            return self._evaluation({"valid": False, "reason": str(error)}, progress, clock)
        leak = worst_case(progress.measured)
        if leak is None:
            reason = f"the suite attacks nothing: {', '.join(self.suite.attackers)}"
            return self._evaluation({"valid": False, "reason": reason}, progress, clock)
        several = len(self._recognizers) > 1
        strongest = f"{leak.strongest.recognizer}/{leak.strongest.name}" if several else leak.strongest.name
        values = {
            "valid": True,
            "objectives": {"leak": leak.estimate, **progress.objectives},
            "strongest": strongest,
            "leak_floor_mean": leak.floor_mean,
            "leak_floor_95": leak.floor_95,
        }
        return self._evaluation(values, progress, clock)

    def _judge(self, anonymizer: Anonymizer, batch_size: int, progress: "_Progress", clock: "_Clock") -> None:
        with clock.part("anonymize"):
            target = render(anonymizer, self._target, batch_size, self._device)
            progress.anonymized = target
            owned = render(anonymizer, self._owned, batch_size, self._device)
        with clock.part("embed"):
            settings = {
                name: self._setting(name, net, target, owned, batch_size) for name, net in self._recognizers.items()
            }
        for recognizer, setting in settings.items():
            progress.cosine[recognizer] = _mean_cosine(setting.target.clear, setting.target.anonymized)
            self._attack(recognizer, setting, progress.measured, progress.deployed, clock)
        check_control([item.score for item in progress.measured], self.suite.min_control_tar)
        with clock.part("expression"):
            self._score_expression(target, batch_size, progress)
        with clock.part("realism"):
            self._score_realism(target, progress)
        with clock.part("proxies"):
            for name, net in self._proxies.items():
                progress.proxy[name] = self._read_proxy(name, net, target, batch_size)

    def _attack(
        self,
        recognizer: str,
        setting: AttackSetting,
        measured: list[Measured],
        deployed: dict[str, float],
        clock: "_Clock",
    ) -> None:
        split: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
        for name, attacker in self._attackers.items():
            with clock.part(f"attack/{name}"):
                found = attacker(setting)
            for comparisons in found:
                check_comparisons(comparisons, self.suite.far, self.suite.min_false_accepts)
                with clock.part("measure"):
                    measured.append(self._people.measure(comparisons, attacker.rung, recognizer))
                genuine = comparisons.gallery_identities == comparisons.probe_identities
                split[comparisons.name] = comparisons.scores[genuine], comparisons.scores[~genuine]
        if "naive" in split:
            threshold = threshold_at_far(split["control"][1], self.suite.far)
            deployed[recognizer] = tar_at_threshold(split["naive"][0], threshold)

    def _score_expression(self, target: NDArray[np.uint8], batch_size: int, progress: "_Progress") -> None:
        clear = self._clear_outputs(self._target, f"{self._evaluator.name}-posterior", self._evaluator, self._posterior)
        anonymized = net_outputs(self._posterior, target, batch_size, self._device)
        divergences = js_divergence(clear, anonymized)
        progress.objectives["utility"] = self._mean_estimate(1.0 - divergences)
        shares = class_collapse(clear, anonymized)
        progress.expression = ExpressionScore(
            js=float(divergences.mean()),
            kl=float(kl_divergence(clear, anonymized).mean()),
            top1_agreement=top1_agreement(clear, anonymized),
            largest_class_share=shares.largest,
            collapsed=shares.collapsed,
        )

    def _score_realism(self, target: NDArray[np.uint8], progress: "_Progress") -> None:
        images = images_to_tensor(target)
        similarities = ssim(images, self._target.images)
        progress.objectives["realism"] = self._mean_estimate(similarities)
        progress.realism = RealismScore(ssim=float(similarities.mean()), psnr=psnr(images, self._target.images))

    def _read_proxy(self, name: str, net: nn.Module, target: NDArray[np.uint8], batch_size: int) -> ProxyReading:
        clear = self._clear_outputs(self._target, name, net, net)
        people = self._attack_set(self._target, clear, net_outputs(net, target, batch_size, self._device))
        naive = compare("naive", people, people.clear, people.anonymized, "probe")
        genuine = naive.gallery_identities == naive.probe_identities
        return ProxyReading(
            cosine=_mean_cosine(people.clear, people.anonymized),
            naive_tar=tar_at_far(naive.scores[genuine], naive.scores[~genuine], self.suite.far),
        )

    def _mean_estimate(self, values: NDArray[np.float64]) -> Estimate:
        owners = self._people.person(np.asarray(self._target.identity_indices))
        return estimate(float(values.mean()), bootstrap_mean(values, owners, self._people.multiplicities))

    def _setting(
        self, name: str, net: nn.Module, target: NDArray[np.uint8], owned: NDArray[np.uint8], batch_size: int
    ) -> AttackSetting:
        sets = [
            self._attack_set(
                table,
                self._clear_outputs(table, name, net, net),
                net_outputs(net, images, batch_size, self._device),
            )
            for table, images in ((self._target, target), (self._owned, owned))
        ]
        return AttackSetting(target=sets[0], owned=sets[1], seed=self.suite.seed)

    def _attack_set(self, table: FaceTable, clear: NDArray[Any], anonymized: NDArray[Any]) -> AttackSet:
        return AttackSet(
            identities=np.asarray(table.identity_indices),
            sources=np.asarray(table.source_indices),
            clear=np.asarray(clear),
            anonymized=np.asarray(anonymized),
        )

    def _clear_outputs(self, table: FaceTable, name: str, net: nn.Module, compute: Any) -> NDArray[np.float32]:
        outputs = cached_outputs(
            table, name, weights_of(net), lambda images: compute(images.to(self._device)), self._cache
        )
        return np.asarray(outputs)

    def _posterior(self, images: Tensor) -> Tensor:
        logits: Tensor = self._evaluator(images)
        return logits.float().softmax(dim=1)

    def _calibrate(self, batch_size: int) -> Calibration:
        if self._calibration is None:
            key = f"blackout-{self._target_split}-{self.suite_hash}-{self._data_hash}.json"
            path = self._cache / key
            if not path.exists():
                calibration = self._attack_blackout(batch_size)
                with replace_when_complete(path) as temporary:
                    temporary.write_text(calibration.model_dump_json(indent=2), encoding="utf-8")
            self._calibration = Calibration.model_validate_json(path.read_text(encoding="utf-8"))
        return self._calibration

    def _attack_blackout(self, batch_size: int) -> Calibration:
        measured: list[Measured] = []
        for name, net in self._recognizers.items():
            target = render(_blackout, self._target, batch_size, self._device)
            owned = render(_blackout, self._owned, batch_size, self._device)
            self._attack(name, self._setting(name, net, target, owned, batch_size), measured, {}, _Clock())
        leak = worst_case(measured)
        if leak is None:
            raise ProtocolError(f"the suite attacks nothing: {', '.join(self.suite.attackers)}")
        return Calibration(leak=leak.estimate, floor_95=leak.floor_95)

    def _evaluation(self, values: dict[str, Any], progress: "_Progress", clock: "_Clock") -> Evaluation:
        score = TrialScore(
            **values,
            rungs=tuple(item.score for item in progress.measured),
            cosine=progress.cosine,
            deployed=progress.deployed,
            expression=progress.expression,
            realism=progress.realism,
            proxy=progress.proxy,
            target_split=self._target_split,
            n_images=len(self._target),
            undetected=self._target.undetected,
            suite_hash=self.suite_hash,
            data_hash=self._data_hash,
            contract_hash=self._contract_hash,
            models=self._models,
            seeds={"suite": self.suite.seed},
            versions={
                "veil": __version__,
                "python": platform.python_version(),
                "torch": torch.__version__,
                "numpy": np.__version__,
            },
            seconds=clock.seconds,
        )
        curves = {f"{item.score.recognizer}/{item.score.name}": item.curve for item in progress.measured}
        return Evaluation(score, images_to_tensor(progress.anonymized), curves)


def evaluate(anonymizer: Anonymizer, judge: Judge, batch_size: int = 16) -> TrialScore:
    """Score card of an anonymizer; `Judge.score` also returns images and ROC curves."""
    return judge.score(anonymizer, batch_size).score


def weights_of(net: nn.Module) -> str:
    """SHA-256 of the weights of a frozen net."""
    return str(net.asset_sha256)


def _blackout(faces: FaceBatch) -> Tensor:
    return torch.full_like(faces.images, -1.0)


def _mean_cosine(clear: NDArray[np.floating], anonymized: NDArray[np.floating]) -> float:
    return float((unit(clear) * unit(anonymized)).sum(axis=1).mean())


class _Progress:
    """What has been measured so far, so that an invalid score still shows it."""

    def __init__(self) -> None:
        self.anonymized = np.empty((0, 3, 112, 112), np.uint8)
        self.measured: list[Measured] = []
        self.objectives: dict[str, Estimate] = {}
        self.cosine: dict[str, float] = {}
        self.deployed: dict[str, float] = {}
        self.expression: ExpressionScore | None = None
        self.realism: RealismScore | None = None
        self.proxy: dict[str, ProxyReading] = {}


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
