"""Every server optimiser, and a run of one."""

from typing import Any

from fl.training.optimizer_state import OptimizerState
from fl.training.optimizers import FedAdagrad, FedAdam, FedAvg, FedAvgM, FedYogi, ServerOptimizer

EVERY = [FedAvg, FedAvgM, FedAdagrad, FedYogi, FedAdam]


def run(optimizer: ServerOptimizer, model: Any, deltas: list[Any]) -> tuple[OptimizerState, Any]:
    state = optimizer.start(model)
    for delta in deltas:
        state, model = optimizer.step(state, model, delta)
    return state, model
