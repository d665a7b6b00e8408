"""What the configurations of all algorithms share: hyperparameters, and what is trained on."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, ClassVar

import gymnasium as gym
import numpy as np
import torch
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core.learner.learner import Learner
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.utils.annotations import override

from envs.credit import Credit
from envs.errors import ConfigError
from envs.objective import DEFAULT_OBJECTIVE, Objective
from envs.state import InventoryState, Scenario
from pipeline.algorithms.runner import ShardRunner
from pipeline.algorithms.settings import Always, Count, Declared, Number, Rate, Share, Widths
from pipeline.policies.action_models import ACTION_MODELS, ActionModel, make_action_model
from pipeline.scenarios.source import ScenarioSource, Split


def rllib_keys(config_class: type) -> set[str]:
    """Names that ``training()`` of RLlib's config takes, from which a class derives."""
    names: set[str] = set()
    for cls in config_class.__mro__:
        if "training" in cls.__dict__ and not issubclass(cls, Declared):
            parameters = inspect.signature(cls.__dict__["training"]).parameters.values()
            names |= {p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
    return names


class ShardSettings(Declared, AlgorithmConfig):
    """Base of the algorithms' configs: where inventories come from and how they are played.

    Fields with limits or a default are hyperparameters; see :mod:`pipeline.algorithms.settings`.
    """

    of_governed_days: ClassVar[tuple[str, ...]] = ()
    """Counts that are 0 under a credit that is not (:class:`~envs.credit.Credit`)."""

    hidden: Widths = (64, 64)
    """Widths of the policy's hidden layers."""
    initial_action: Annotated[float | None, Number(0.001, 0.999)] = None
    """Output of the untrained policy, share of its range; None for the action model's sensible
    start."""
    fragment_days: Count = 56
    """Days of a fragment or window."""
    fragment_copies: Count = 1
    """Times each inventory of a tile is played in a fragment. More than 1 is for data of a few
    trajectories: exploration differs between copies."""
    weight_power: Annotated[float, Number()] = 0.5
    """A decision (in DS: an inventory) weighs its size ** power in the losses: 0 treats all
    inventories alike, 1 counts money."""
    action_high: Annotated[float, Number()] = 3.0
    """Upper end of a level's or order's range, in demand scales."""
    coefficient_high: Annotated[float, Number()] = 1.0
    """Upper end of the coefficients' range."""
    lr: Rate
    """Learning rate of the policy."""
    grad_clip: Annotated[float | None, Number()] = 5.0
    """Largest norm of the gradient of what an optimizer steps; None: any."""
    grad_clip_by: Annotated[str, Always("global_norm")] = "global_norm"
    """See :class:`~pipeline.algorithms.gradients.JointGradients`."""
    train_batch_size_per_learner: Count
    gamma: Share
    minibatch_size: Count
    num_epochs: Count

    algo_class: type[Any]
    source: ScenarioSource | None
    split: Split
    action_model: str
    objective: Objective
    shortage_factors: tuple[float, float] | None
    planned_iterations: int | None
    initial_stock: Callable[[Scenario, torch.Generator], InventoryState] | None

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__(algo_class=algo_class)
        self.set_defaults()
        self.source = None
        self.split = "train"
        self.action_model = "both"
        self.objective = DEFAULT_OBJECTIVE
        self.shortage_factors = None
        self.planned_iterations = None
        self.action_low = 0.0
        self.initial_stock = None  # what the source says
        self.env_runner_cls = ShardRunner
        self.num_env_runners = 0
        self.restart_failed_env_runners = True
        self.max_num_env_runner_restarts = 100
        self.merge_env_runner_states = False
        self.broadcast_env_runner_states = False
        self.normalize_actions = False
        self.clip_actions = False
        self.framework_str = "torch"

    @classmethod
    def training_keys(cls) -> set[str]:
        """Names that :meth:`training` takes, RLlib's own included."""
        return rllib_keys(cls) | set(cls.declared)

    @override(AlgorithmConfig)
    def training(self, **given: Any) -> Any:
        """Sets hyperparameters: the fields of this class, and RLlib's own."""
        own = self.declared.keys() - rllib_keys(type(self))
        super().training(**{name: given[name] for name in given.keys() - own})
        for name in own & given.keys():
            setattr(self, name, given[name])
        return self

    def inventories(
        self,
        *,
        source: ScenarioSource,
        action_model: str | type[ActionModel],
        objective: Objective = DEFAULT_OBJECTIVE,
        shortage_factors: tuple[float, float] | None = None,
        planned_iterations: int | None = None,
        initial_stock: Callable[[Scenario, torch.Generator], InventoryState] | None = None,
    ) -> Any:
        """Says which inventories are trained on, and with which action model.

        Args:
            source: Scenarios tile by tile; picklable.
            action_model: Registered name, ``module:Class``, or a class.
            objective: What is minimised.
            shortage_factors: Least and largest factor by which shortages of an inventory are
                weighed in a fragment, drawn log-uniformly; None: by none.
            planned_iterations: How long the training is to last, for what is annealed; None: what
                would be annealed is at its end from the start.
            initial_stock: Draws the stock that a training fragment starts with; default:
                the source's ``training_start``.
        """
        self.source = source
        model = make_action_model(action_model, source.layout.basis, coming=source.layout.coming)
        self.action_model = ACTION_MODELS.written(action_model)
        self.objective, self.planned_iterations = objective, planned_iterations
        self.suit(objective.crediting)
        self.shortage_factors = shortage_factors
        if initial_stock is not None:
            self.initial_stock = initial_stock
        infinite = float("inf")
        self.observation_space = gym.spaces.Box(
            -infinite, infinite, (source.layout.size,), np.float32
        )
        self.action_space = gym.spaces.Box(-infinite, infinite, (model.outputs,), np.float32)
        return self

    def suit(self, credit: Credit) -> None:
        """Sets the defaults that a credit needs; what :meth:`training` is given later counts."""
        if credit.discount is not None:
            self.gamma = credit.discount
        if not credit.of_governed_days:
            for name in self.of_governed_days:
                setattr(self, name, 0)

    @override(AlgorithmConfig)
    def validate(self) -> None:
        """Raises :class:`ConfigError` for what cannot learn from the objective's credit."""
        super().validate()
        credit = self.objective.crediting
        if self.gamma < credit.least_discount:
            raise ConfigError(
                "training: gamma", self.gamma,
                f"Use {credit.least_discount:g} to 1 with this credit, or leave it out; in a "
                "preset, search there.",
                "forgets decisions long before they are charged",
            )  # fmt: skip
        for name in () if credit.of_governed_days else self.of_governed_days:
            if getattr(self, name):
                raise ConfigError(
                    f"training: {name}", getattr(self, name),
                    "Leave it out: with this credit it is 0.",
                    f"is too many: {self.objective.name} charges decisions with other days than "
                    "they govern, of which alone it is known what another order would have cost",
                )  # fmt: skip

    @override(AlgorithmConfig)
    def get_default_learner_class(self) -> type[Learner]:
        learner: type[Learner] = self.algo_class.learner_class
        return learner

    @override(AlgorithmConfig)
    def get_default_rl_module_spec(self) -> RLModuleSpec:
        module = self.algo_class.module_class
        return RLModuleSpec(
            module_class=module,
            model_config={
                **self._policy_settings(),
                **{name: _as_tuple(getattr(self, name)) for name in module.reads},
            },
        )

    def _policy_settings(self) -> dict[str, Any]:
        assert self.source is not None, "inventories() comes first"
        layout = self.source.layout
        settings = {
            "low": self.action_low,
            "high": self.action_high,
            "coefficient_high": self.coefficient_high,
        }
        model = make_action_model(self.action_model, layout.basis, coming=layout.coming, **settings)
        return {
            "layout": layout.widths,
            "action_model": {"kind": self.action_model, **model.settings},
            "objective": self.objective,
            "hidden": tuple(self.hidden),
            "initial_action": (
                model.start / model.end if self.initial_action is None else self.initial_action
            ),
        }


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
