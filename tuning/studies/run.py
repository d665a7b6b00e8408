"""Runs the synthetic study: sweeps and further experiments; the same call resumes.

1. every sweep, from which each method's model is selected; references, setting 4, critics;
2. the selected configurations on more and more trajectories.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import yaml

from envs.problems.settings import SettingName
from pipeline.algorithms.build import build_config
from pipeline.runs.config import RunConfig
from pipeline.runs.method import AlgorithmName
from pipeline.runs.selection import select
from pipeline.runs.sweep import write_selection
from pipeline.scenarios.given import GivenScenarios
from pipeline.scenarios.trajectories import StudyData
from pipeline.studies.synthetic.folder import StudyFolder
from pipeline.studies.synthetic.keys import CriticKey, GrowthKey, HorizonKey
from pipeline.studies.synthetic.measuring.q_error import probe_critic
from tuning.preset import Preset
from tuning.stages import SweepStages
from tuning.studies.plan import StudyPlan
from tuning.sweep import claim
from tuning.trials import Pending, TrialPlan, forget_failures, not_ended, remaining, train_trials

OnTrial = Callable[[Path], None]


@dataclass
class Study:
    """A study that has been checked and may start; see :func:`plan_study`."""

    plan: StudyPlan
    folder: StudyFolder
    presets: Mapping[SettingName, Preset]
    first: Mapping[SettingName, Mapping[str, RunConfig]]
    """The sweeps' trials with seed 0, by key."""
    sources: dict[str, GivenScenarios] = field(default_factory=dict)
    """Made once each; the key says what of."""

    def source(self, data: StudyData) -> str:
        """Name of a source in :attr:`sources`."""
        name = json.dumps(data.model_dump())
        if name not in self.sources:
            self.sources[name] = data.source()
        return name


def plan_study(plan: StudyPlan, directory: Path) -> Study:
    """Checks what can be wrong with a study, then makes (or finds) its folder.

    Raises:
        ConfigError: A key or value is wrong, or the folder holds another study.
    """
    folder = StudyFolder(directory.resolve())
    presets = plan.presets()
    study = Study(plan, folder, presets, {s: p.first_round() for s, p in presets.items()})
    for setting, runs in study.first.items():
        source = study.sources[study.source(_data(presets[setting]))]
        for run in runs.values():
            build_config(run, source)  # a wrong key fails here, not trial by trial
    for trial in [*_references(study), *_horizon(study), *_critics(study)]:
        build_config(trial.run, study.sources[trial.source])
    content = plan.model_dump(mode="json")
    folder.check(content)
    for setting, preset in presets.items():
        claim(preset, "", folder.sweep(setting))
    folder.claim(content)
    return study


def run_study(
    study: Study, *, retry_failed: bool = False, on_trial: OnTrial = lambda folder: None
) -> None:
    """Trains what is not trained yet, selects, and puts each method's run at its ``best``.

    Args:
        study: From :func:`plan_study`.
        retry_failed: Forget failed and diverged trials of earlier sessions.
        on_trial: Called with the folder of every trial that has ended.
    """

    def train(pending: Pending, left: Callable[[], float]) -> None:
        train_trials(pending, study.sources, study.folder.directory, left=left, on_trial=on_trial)

    if retry_failed:
        forget_failures(study.folder.directory.glob("*/trials/*"))
    sweeps = {setting: _stages(study, setting, on_trial) for setting in study.presets}
    # The longest first: no core waits for them at the end.
    others = [*_references(study), *_critics(study), *_horizon(study)]
    train(
        lambda: [
            *not_ended(others)(),
            *(trial for stages in sweeps.values() for trial in stages.pending()),
        ],
        lambda: remaining(others) + sum(stages.remaining() for stages in sweeps.values()),
    )
    chosen = {
        setting: _choose(study, setting, {**stages.first, **stages.further()})
        for setting, stages in sweeps.items()
    }
    growth = _growth(study, chosen)
    train(not_ended(growth), lambda: remaining(growth))


def _data(preset: Preset) -> StudyData:
    assert isinstance(preset.data, StudyData)  # StudyPlan.presets has checked it
    return preset.data


def _stages(study: Study, setting: SettingName, on_trial: OnTrial) -> SweepStages:
    source = study.source(_data(study.presets[setting]))

    def plan(key: str, run: RunConfig) -> TrialPlan:
        return TrialPlan(f"{setting}-{key}", study.folder.trial(setting, key), run, source)

    return SweepStages(study.presets[setting], study.first[setting], plan, on_trial)


def _references(study: Study) -> list[TrialPlan]:
    plan, test = study.plan.reference, study.plan.test
    if plan is None:
        return []
    run = plan.run.config(AlgorithmName.DS, "base", 0)
    return [
        TrialPlan(
            f"reference-{setting}", study.folder.trial("reference", setting), run,
            study.source(StudyData(
                study=setting, trajectories=test.trajectories, seed=test.seed, on_test=True
            )),
        )
        for setting in plan.settings
    ]  # fmt: skip


def _horizon(study: Study) -> list[TrialPlan]:
    plan = study.plan.horizon
    if plan is None:
        return []
    trials = []
    for seed in range(plan.seeds):
        for n in plan.trajectories:
            for days in plan.counted_days:
                key = str(HorizonKey(n, days, seed))
                data = StudyData(study="setting4", trajectories=n, counted_days=days, seed=seed)
                run = plan.run.config(plan.algorithm, plan.action_model, seed)
                folder = study.folder.trial("horizon", key)
                trials.append(TrialPlan(f"horizon-{key}", folder, run, study.source(data)))
    return trials


def _critics(study: Study) -> list[TrialPlan]:
    plan = study.plan.critic
    if plan is None:
        return []
    trials = []
    for seed in range(plan.seeds):
        for setting in plan.settings:
            for model in plan.action_models:
                key = str(CriticKey(setting, model, seed))
                run = plan.run.config(AlgorithmName.DDPG, model, seed)
                trials.append(
                    TrialPlan(
                        f"critic-{key}", study.folder.trial("critic", key), run,
                        study.source(StudyData(study=setting)),
                        probe=partial(probe_critic, setting),
                    )
                )  # fmt: skip
    return trials


def _choose(
    study: Study, setting: SettingName, runs: Mapping[str, RunConfig]
) -> dict[str, RunConfig]:
    """Selects on validation and keeps the runs; method -> what the selected trial trained."""
    directory = study.folder.sweep(setting)
    chosen: dict[str, RunConfig] = {}
    selected = select(runs, directory)
    write_selection(directory, selected)
    for method, choice in selected.items():
        if choice.trial is not None:
            study.folder.keep_best(setting, method, study.folder.trial(setting, choice.trial))
            chosen[method] = runs[choice.trial]
    return chosen


def _growth(study: Study, chosen: Mapping[SettingName, Mapping[str, RunConfig]]) -> list[TrialPlan]:
    plan = study.plan.growth
    if plan is None:
        return []
    trials = []
    for seed in range(plan.seeds):
        for n in plan.trajectories:
            for setting in plan.settings:
                tuned = study.sources[study.source(_data(study.presets[setting]))]
                # As many trajectories in all as the tuned configuration was trained on.
                copies = max(1, round(tuned.load("train", 0).num_inventories / n))
                data = StudyData(study=setting, trajectories=n, copies=copies, seed=seed)
                source = study.source(data)
                for method, run in chosen.get(setting, {}).items():
                    key = str(GrowthKey(setting, method, n, seed))
                    run = run.model_copy(update={"seed": seed})
                    folder = study.folder.trial("growth", key)
                    _forget_other(folder, run)
                    trials.append(TrialPlan(f"growth-{key}", folder, run, source))
    return trials


def _forget_other(folder: Path, run: RunConfig) -> None:
    """Removes what was trained when another configuration was the selected one."""
    written = folder / "config.yaml"
    if written.exists() and yaml.safe_load(written.read_text()) != run.model_dump(mode="json"):
        shutil.rmtree(folder)
