"""Derivatives of a played horizon, carried backwards by hand: what DS trains on.

Torch can differentiate :func:`~envs.rollout.rollout` by itself, at the price of some forty
graph nodes and several new tensors per day. Here the horizon is played in place, once, and
what the derivatives need is kept: the stock that each decision saw, the network's hidden
layers and its output. Then, from the last day to the first, with

    v[s]    what one more unit is worth that becomes usable on day s,
    k, g    how much of a unit on hand is left in the evening, and what it earned in the day,
    I, x    stock and features that were seen;  u = (I, tot(I)) / scale, cut;
    z, q    the network's output  net(u, x)  and the order that follows  order(z, I, x),

each day t does four things::

    v[t]        = g[t] + k[t] v[t+1]                        demand and the night (events 3-5)
    w           = v[t + lead time] x share that arrives     what the order q was worth (event 2)
    dz          = w dq/dz,   du = dz dnet/du                through the network's own layers
    v[t..t+K]  += du du/dI + w dq/dI                        the order looked at the stock

dq/dz and dq/dI are numbers, an order depending on its inventory's row only (of dq/dI it is one
number where all of the stock counts alike): torch works them out for a block of days at once, from
the action model and the one rule of admissible orders. The gradients of the weights, sums over all
decisions of dz times what a layer saw, are one matrix product per layer and some 2,000 decisions.
At a kink the derivative is torch's own (half of both sides' where stock meets demand exactly).

What this cannot carry is left to torch: an action model that has parameters of its own, and a
network without hidden layers, or of which some parameters are not trained.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from envs.dynamics import DayOutcome
from envs.orders import OrderRules, admissible, rules_of
from envs.review import Arrivals
from envs.rollout import Decision, rollout
from envs.state import InventoryState, Observation, Scenario
from pipeline.policies.action_models import Reads, squash
from pipeline.policies.networks import STOCK_CLIP, PolicyNetwork, stock_columns

BLOCK_ROWS = 16384
"""Decisions whose orders are differentiated at a time."""
PRODUCT_ROWS = 2048
"""Decisions, at least, that enter the weights' gradients at a time: they fit the cache."""


class TrainingRollout:
    """Plays a network so that its parameters get gradients; keeps the memory for the next time.

    Args:
        network: The policy.
    """

    def __init__(self, network: PolicyNetwork) -> None:
        self.network = network
        self.spare: list[_Block] = []
        """Blocks that no outstanding backward pass needs. New memory is slow: the system
        clears it page by page."""

    def __call__(self, scenario: Scenario, state: InventoryState) -> DayOutcome:
        """The outcome of a rollout, [T, N] each, with gradients for the parameters.

        The same numbers as ``rollout(scenario, network.decide, state).outcome``. Nothing
        is derived for the stock to start with.
        """
        if not (torch.is_grad_enabled() and self.by_hand):
            return rollout(scenario, self.network.decide, state).outcome
        parameters = list(self.network.net.parameters())
        outcome = _Horizon.apply(self, scenario, state, *parameters)  # type: ignore[no-untyped-call]
        return DayOutcome(*outcome)

    @property
    def by_hand(self) -> bool:
        """The derivatives are those of this module, not torch's."""
        model = self.network.action_model
        return (
            not any(True for _ in model.parameters())
            and self.network.layers()[2] is not None
            and all(parameter.requires_grad for parameter in self.network.net.parameters())
        )


class _Horizon(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        training: TrainingRollout,
        scenario: Scenario,
        state: InventoryState,
        *parameters: Tensor,
    ) -> tuple[Tensor, ...]:
        kept = _Decisions(training, scenario)
        outcome = rollout(scenario, kept.decide, state).outcome
        ctx.kept = kept
        ctx.save_for_backward(*outcome, *parameters)
        return tuple(outcome)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        outcome = DayOutcome(*ctx.saved_tensors[:3])
        found = _backwards(ctx.kept, outcome, DayOutcome(*gradients))
        ctx.kept.give_back()
        return None, None, None, *found


class _Block:
    """What was seen and computed for the decisions of a block of days, one after the other."""

    def __init__(self, rows: int, network: PolicyNetwork, like: Tensor) -> None:
        first, between, head = network.layers()
        assert head is not None
        slots = network.layout.max_lead_time + 1
        self.rows = rows
        self.like = like.dtype, like.device
        read = slots if Reads.STOCK in network.action_model.reads else 1
        self.stock = like.new_empty((read, rows))
        """What the action model reads of the stock: all columns, or their sum."""
        self.columns = like.new_empty((slots + 1, rows))
        self.logits = like.new_empty((head.out_features, rows))
        self.hidden = [like.new_empty((rows, layer.out_features)) for layer in (first, *between)]


class _Decisions:
    """The decisions of a horizon, by blocks of days."""

    def __init__(self, training: TrainingRollout, scenario: Scenario) -> None:
        self.training = training
        self.network = training.network
        self.scenario = scenario
        self._rules = rules_of(scenario)
        self.counts: list[int] = scenario.review.sum(1).tolist()
        """Decisions of each day."""
        self.days = list(_blocks_of_days(self.counts))
        rows = max(BLOCK_ROWS, scenario.num_inventories)
        spare = training.spare
        self.blocks: list[_Block] = []
        like = scenario.demand
        for _ in self.days:
            while spare and (spare[-1].rows < rows or spare[-1].like != (like.dtype, like.device)):
                spare.pop()
            self.blocks.append(spare.pop() if spare else _Block(rows, self.network, like))
        self._open = iter(zip(self.days, self.blocks, strict=True))
        self._block, self._left, self._made = self.blocks[0], 0, 0

    def give_back(self) -> None:
        """Nobody needs the decisions any more."""
        self.training.spare += self.blocks

    def decide(self, seen: Observation) -> Decision:
        """Answers as :meth:`PolicyNetwork.decide` does, and keeps what led to it."""
        while not self._left:
            days, self._block = next(self._open)
            self._left, self._made = sum(self.counts[day] for day in days), 0
        count = len(seen.scale)
        rows = slice(self._made, self._made + count)
        self._made, self._left = rows.stop, self._left - count
        block = self._block
        if len(block.stock) == 1:
            torch.sum(seen.stock, 1, out=block.stock[0, rows])
        else:
            block.stock[:, rows] = seen.stock.t()
        block.columns[:, rows] = columns = stock_columns(seen)
        hidden = [layer[rows] for layer in block.hidden]
        block.logits[:, rows] = logits = self.network.pass_forward(seen.features, columns, hidden)
        shown = seen._replace(stock=block.stock[:, rows].t())
        return Decision(self.network.action_model(squash(logits).t(), shown))

    def exogenous(self, days: range) -> tuple[Tensor, Tensor, Tensor]:
        """Scale [R], basis [R, M] and features [R, F] that were seen in a block of days."""
        given = self.scenario
        scale, basis, features = (
            self._of_decisions(days, part) for part in (given.scale, given.basis, given.features)
        )
        return scale, basis, features

    def rules(self, days: range) -> OrderRules:
        """Rules [R] of the orders of a block of days."""
        rules, shape = self._rules, self.scenario.demand.shape
        rules = rules.map(lambda part: self._of_decisions(days, part))
        return rules.map_sizes(lambda each: self._of_decisions(days, each.expand(shape)))

    def _of_decisions(self, days: range, per_day: Tensor) -> Tensor:
        """[R, ...] of a block of days, from [T, N, ...]."""
        part = per_day[days.start : days.stop]
        if min(self.counts[days.start : days.stop]) == self.scenario.num_inventories:
            return part.flatten(0, 1)
        return part[self.scenario.review[days.start : days.stop]]


def _blocks_of_days(counts: list[int]) -> Iterator[range]:
    """Days of at most ``BLOCK_ROWS`` decisions together, or one day."""
    first, rows = 0, 0
    for day, count in enumerate(counts):
        if rows + count > BLOCK_ROWS and day > first:
            yield range(first, day)
            first, rows = day, 0
        rows += count
    yield range(first, len(counts))


def _backwards(kept: _Decisions, outcome: DayOutcome, gradients: DayOutcome) -> list[Tensor]:
    """Gradients of the parameters of the network, in their order."""
    scenario, network = kept.scenario, kept.network
    first, between, head = network.layers()
    assert head is not None
    layers = (first, *between, head)
    of_weights = [torch.zeros_like(layer.weight) for layer in layers]
    of_biases = [torch.zeros_like(layer.bias) for layer in layers]
    slots = scenario.max_lead_time + 1
    of_stock = first.weight[:, : slots + 1].t().contiguous()
    # Transposed: into few columns these products were two to ten times slower.
    of_first = first.weight.new_zeros(first.weight.t().shape)
    # Row s: v[s] above.
    worth = outcome.end.new_zeros((scenario.num_days + slots, scenario.num_inventories))
    left, earned = _through_demand(outcome, gradients, scenario)
    arrival = Arrivals(scenario)
    capacity = PRODUCT_ROWS + scenario.num_inventories
    memory = [first.weight.new_empty((capacity, layer.out_features)) for layer in layers[:-1]]
    passing = [torch.empty_like(part[: scenario.num_inventories]) for part in memory]
    for days, block in zip(reversed(kept.days), reversed(kept.blocks), strict=True):
        # Decisions from `stop` to `pending` are yet to enter the weights' gradients.
        stop = pending = sum(kept.counts[day] for day in days)
        scale, basis, features = kept.exogenous(days)
        by_logits, by_stock = _through_order(kept, block, days, (scale, basis, features))
        for day in reversed(days):
            torch.addcmul(earned[day], worth[day + 1], left[day], out=worth[day])
            count = kept.counts[day]
            if not count and (day > days.start or pending == stop):
                continue
            stop, today = stop - count, slice(stop - count, stop)
            window, lead = worth[day : day + slots], arrival(day)
            value = window[lead] if isinstance(lead, int) else (window * lead).sum(0)
            if (fill := arrival.fill(day)) is not None:
                value = value * fill
            who = None if count == len(value) else scenario.review[day].nonzero().squeeze(1)
            if who is not None:
                value = value.index_select(0, who)
            above, weight = by_logits[:, today].mul_(value).t(), head.weight
            for index in reversed(range(len(memory))):
                delta = memory[index][stop + capacity - pending :][:count]
                # Of one column the product is an outer one, which takes half the time.
                multiply = torch.mul if above.shape[1] == 1 else torch.mm
                multiply(above, weight, out=delta)
                # A rectifier's derivative is the sign of what it let through.
                delta *= torch.sign(block.hidden[index][today], out=passing[index][:count])
                above, weight = delta, layers[index].weight
            through = torch.mm(of_stock, above.t())
            # A column that was cut passes nothing on.
            through *= (block.columns[:, today].abs() < STOCK_CLIP).to(through.dtype)
            through = through[:-1].add_(through[-1]).div_(scale[today])
            if by_stock is not None:
                through += by_stock[:, today] * value
            if who is None:
                window += through
            else:
                window.index_add_(1, who, through)
            if pending - stop < PRODUCT_ROWS and day > days.start:
                continue
            rows = slice(stop, pending)
            deltas = [*(delta[stop - pending :] for delta in memory), by_logits[:, rows].t()]
            of_first[: slots + 1].addmm_(block.columns[:, rows], deltas[0])
            of_first[slots + 1 :].addmm_(features[rows].t(), deltas[0])
            for index, delta in enumerate(deltas):
                of_biases[index] += delta.sum(0)
                if index:
                    of_weights[index].addmm_(delta.t(), block.hidden[index - 1][rows])
            pending = stop
    of_weights[0] = of_first.t()
    return [part for pair in zip(of_weights, of_biases, strict=True) for part in pair]


def _through_order(
    kept: _Decisions, block: _Block, days: range, exogenous: tuple[Tensor, Tensor, Tensor]
) -> tuple[Tensor, Tensor | None]:
    """dq/dz [A, R], and dq/dI [K+1, R]: [1, R] where it is the same for all of the stock, None
    where the order looks at the output only."""
    size = len(exogenous[0])
    logits = block.logits[:, :size].detach().requires_grad_()
    stock = block.stock[:, :size].detach().requires_grad_()
    with torch.enable_grad():
        seen = Observation(stock.t(), *exogenous)
        asked = kept.network.action_model(squash(logits).t(), seen)
        order = admissible(asked, kept.rules(days), stock.sum(0))
    by_logits, by_stock = torch.autograd.grad(
        order, (logits, stock), torch.ones_like(order), allow_unused=True
    )
    return by_logits, by_stock


def _through_demand(
    outcome: DayOutcome, gradients: DayOutcome, scenario: Scenario
) -> tuple[Tensor, Tensor]:
    """k and g above, [T, N] each."""
    _, unmet, end = outcome
    if scenario.backlog:
        on_hand = end + scenario.demand
        # Where stock meets demand exactly, half of it is taken to be sold.
        sold = (on_hand >= 0) * 0.5 * (1.0 - end.sign())
        earned = gradients.end - (end <= 0) * gradients.unmet + sold * gradients.sales
        return torch.ones_like(end), earned
    sold = 0.5 * (1.0 + unmet.sign() - end.sign())
    left = 1.0 - sold
    return left, left * gradients.end + sold * (gradients.sales - gradients.unmet)
