"""How models learn from means: the server's optimisers, FedProx on the client, and rounds that wait for nobody.

* `FedAvg`, `FedAvgM`, `FedAdagrad`, `FedYogi`, `FedAdam`: how a mean moves the model (Reddi et al. 2021, "Adaptive
  Federated Optimization"; Hsu et al. 2019 for `FedAvgM`).
* `proximal_penalty`, `proximal_gradient`: FedProx (Li et al. 2020, "Federated Optimization in Heterogeneous Networks").
* `Buffer`, `StalenessWeights`: buffered asynchronous rounds (Nguyen et al. 2022, "Federated Learning with Buffered
  Asynchronous Aggregation").

All of them use means alone, which is what secure aggregation releases. `docs/training.md` has an example of each, and
says when not to use it.
"""

from fl.training.buffered import Buffer, BufferedCohort, StalenessWeights, StaleUpdateError
from fl.training.optimizer_state import OptimizerState
from fl.training.optimizers import FedAdagrad, FedAdam, FedAvg, FedAvgM, FedYogi, ServerOptimizer
from fl.training.proximal import proximal_gradient, proximal_penalty

__all__ = [
    "Buffer",
    "BufferedCohort",
    "FedAdagrad",
    "FedAdam",
    "FedAvg",
    "FedAvgM",
    "FedYogi",
    "OptimizerState",
    "ServerOptimizer",
    "StaleUpdateError",
    "StalenessWeights",
    "proximal_gradient",
    "proximal_penalty",
]
