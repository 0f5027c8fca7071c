"""The secure sum beside Flower's SecAgg+: `make bench-flower`, in an environment of its own.

Both sum updates of 300 participants x 10,000 values in one process, with equal neighbours and thresholds; the
same share falls silent before its masked vector. Flower's side is its own workflow and its own modifier of
clients, handed each other's messages without encoding them; ours encodes and decodes every message. Seconds
are those of the processors. Another number of participants may be given. Exit code 1 if a threshold of
thresholds.toml is missed, 2 without Flower.
"""

import os
import sys
import time
import tomllib
from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any

os.environ |= {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}

import numpy as np

from consilium.app.federated.simulation import Simulated, simulate

N, D, DROPOUT, SEED = 300, 10_000, 0.05, 7
CLIP = 1.0


class Clients:
    """Hands the messages of Flower's workflow to its client modifier, and keeps its seconds apart."""

    def __init__(self, updates: dict[int, Any], silent: set[int]) -> None:
        from flwr.app import Context, RecordDict

        self.updates, self.silent = updates, silent
        self.seconds = self.carried = 0.0
        self.contexts = {node: Context(1, node, {}, RecordDict(), {}) for node in updates}

    def send_and_receive(self, messages: Iterable[Any], *, timeout: float | None = None) -> list[Any]:
        """Return the replies of those who are not silent."""
        from flwr.client.mod.secure_aggregation.secaggplus_mod import secaggplus_mod
        from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS, Key, Stage

        del timeout
        replies = []
        for message in messages:
            node = message.metadata.dst_node_id
            stage = message.content.config_records[RECORD_KEY_CONFIGS][Key.STAGE]
            if stage == Stage.COLLECT_MASKED_VECTORS and node in self.silent:
                continue
            began = time.process_time()
            # A carrier would give each client bytes of its own; clients change what they get.
            message.content = deepcopy(message.content)
            self.carried += time.process_time() - began
            began = time.process_time()
            replies.append(secaggplus_mod(message, self.contexts[node], self.train))
            self.seconds += time.process_time() - began
        return replies

    def train(self, message: Any, context: Any) -> Any:
        """Return the update of a client."""
        from flwr.app import Message
        from flwr.common import Code, FitRes, Status, ndarrays_to_parameters
        from flwr.compat.common.recorddict_compat import fitres_to_recorddict

        result = FitRes(
            status=Status(Code.OK, ""),
            parameters=ndarrays_to_parameters([self.updates[context.node_id]]),
            num_examples=1,
            metrics={},
        )
        return Message(fitres_to_recorddict(result, keep_input=False), reply_to=message)


def flower(neighbours: int, threshold: int, participants: int) -> dict[str, float]:
    """Return seconds of Flower's server and clients, and the largest error of its mean."""
    from flwr.app import ConfigRecord, Context, RecordDict
    from flwr.common import ndarrays_to_parameters, parameters_to_ndarrays
    from flwr.compat.common.recorddict_compat import arrayrecord_to_parameters, parameters_to_arrayrecord
    from flwr.server.client_manager import SimpleClientManager
    from flwr.server.compat.grid_client_proxy import GridClientProxy
    from flwr.server.compat.legacy_context import LegacyContext
    from flwr.server.strategy import FedAvg
    from flwr.server.workflow import SecAggPlusWorkflow
    from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD, Key
    from flwr.supercore.task_identity import TaskIdentity

    TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = 1, 1, 0
    rng = np.random.default_rng(SEED)
    updates = {node: rng.uniform(-CLIP, CLIP, D) for node in range(1, participants + 1)}
    silent = set(rng.choice(list(updates), int(DROPOUT * participants), replace=False).tolist())
    clients = Clients(updates, silent)
    manager = SimpleClientManager()
    for node in updates:
        manager.register(GridClientProxy(node, clients, 1))
    strategy = FedAvg(fraction_fit=1.0, min_fit_clients=participants, min_available_clients=participants)
    context = LegacyContext(Context(1, 0, {}, RecordDict(), {}), strategy=strategy, client_manager=manager)
    context.state.config_records[MAIN_CONFIGS_RECORD] = ConfigRecord({Key.CURRENT_ROUND: 1})
    first = ndarrays_to_parameters([np.zeros(D)])
    context.state.array_records[MAIN_PARAMS_RECORD] = parameters_to_arrayrecord(first, True)
    # Flower counts the one who shares among its neighbours, and asks for an odd number.
    workflow = SecAggPlusWorkflow(
        neighbours + 1 - neighbours % 2, threshold, max_weight=1.0, clipping_range=CLIP
    )
    began = time.process_time()
    workflow(clients, context)
    seconds = time.process_time() - began
    found = arrayrecord_to_parameters(context.state.array_records[MAIN_PARAMS_RECORD], keep_input=True)
    mean = np.mean([update for node, update in updates.items() if node not in silent], axis=0)
    error = float(np.abs(parameters_to_ndarrays(found)[0] - mean).max())
    return {"server": seconds - clients.seconds - clients.carried, "clients": clients.seconds, "error": error}


def main() -> int:
    """Run both, print a table, and compare with the thresholds."""
    try:
        import flwr
    except ModuleNotFoundError:
        print("Flower is not installed here: make bench-flower")
        return 2
    n = int(sys.argv[1]) if len(sys.argv) > 1 else N
    ours = simulate(Simulated(participants=n, params=D, dropout=DROPOUT, seed=SEED))
    theirs = flower(ours["neighbours"], ours["threshold"], n)
    mine = {"server": ours["server_cpu_s"], "clients": ours["participant_cpu_s"] + ours["update_cpu_s"]}
    print(
        f"{n} x {D:,}, {ours['neighbours']} neighbours, threshold {ours['threshold']}, {DROPOUT:.0%} silent\n"
    )
    print("| | server s | participants s | all s |\n|---|---|---|---|")
    for name, row in (("Consilium", mine), (f"Flower {flwr.__version__}, SecAgg+", theirs)):
        print(
            f"| {name} | {row['server']:.2f} | {row['clients']:.2f} | {row['server'] + row['clients']:.2f} |"
        )
    server = theirs["server"] / mine["server"]
    whole = (theirs["server"] + theirs["clients"]) / (mine["server"] + mine["clients"])
    print(
        f"\nserver {server:.0f}x less, in all {whole:.0f}x less; error of our sum {ours['max_abs_error']}, ",
        end="",
    )
    print(f"of Flower's mean {theirs['error']:.2g} of a range of {2 * CLIP:g}")
    with Path(__file__).with_name("thresholds.toml").open("rb") as file:
        bounds = tomllib.load(file)["secure_sum_flower"]
    return int(server < bounds["server_times"] or whole < bounds["all_times"])


if __name__ == "__main__":
    sys.exit(main())
