"""``consilium federate``."""

from typing import Annotated

import typer

from consilium.app.cli import options
from consilium.app.cli.guard import guarded

Participants = Annotated[int, typer.Option("--participants", help="How many take part.")]
Params = Annotated[
    int | None,
    typer.Option("--params", help="Values of an update (default 100000; with --task that of its model)."),
]
ModeOption = Annotated[
    str, typer.Option("--mode", help="sum, grouped or visible: what the coordinator sees.")
]
Dropout = Annotated[
    float,
    typer.Option("--dropout", help="Share that falls silent after the shares: exactly floor(D N), seeded."),
]
Gamma = Annotated[float, typer.Option("--gamma", help="Share of colluding owners that is withstood.")]
Delta = Annotated[float, typer.Option("--delta", help="Share of dropouts that the terms allow for.")]
Byzantine = Annotated[
    float, typer.Option("--byzantine", help="Share of attackers that groups must bear (mode grouped).")
]
TaskOption = Annotated[
    str | None, typer.Option("--task", help="Train: digits or candles. Without it updates are synthetic.")
]
Rounds = Annotated[int | None, typer.Option("--rounds", help="Rounds to train (with --task; default 3).")]
DataOption = Annotated[
    str | None,
    typer.Option("--data", help="Candles for --task candles: a file or folder, or `simulate` (default)."),
]
ClipInt = Annotated[
    int | None, typer.Option("--clip-int", help="Integer that stands for the clip (default 4096).")
]
Ring = Annotated[
    int | None, typer.Option("--ring", help="Bits of the ring, 32 or 64 (default: the fewest that hold).")
]
SeedOption = Annotated[int, typer.Option("--seed", help="Of updates, dropouts and simulated keys.")]
JobsOption = Annotated[int, typer.Option("--jobs", help="Processes that play the participants.")]


@guarded
def simulate(
    participants: Participants = 1_000,
    params: Params = None,
    mode: ModeOption = "sum",
    dropout: Dropout = 0.0,
    gamma: Gamma = 0.1,
    delta: Delta = 0.05,
    byzantine: Byzantine = 0.05,
    task: TaskOption = None,
    rounds: Rounds = None,
    data: DataOption = None,
    clip_int: ClipInt = None,
    ring: Ring = None,
    seed: SeedOption = 7,
    jobs: JobsOption = 1,
    json_file: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Play a round among simulated participants, with the machines, keys and messages of a real one.

    Every participant has real keys (X25519, Ed25519), seals real shares and masks a real vector; bytes are
    lengths of encoded messages. Exit code 1 if no sum came of it.
    """
    from consilium.app.cli.progress import progress_bar
    from consilium.app.federated.request import simulated
    from consilium.app.federated.simulation_table import print_simulation
    from consilium.app.files import is_standard_output, require_writable, write_json

    request = simulated(
        participants=participants, params=params, mode=mode, dropout=dropout, gamma=gamma, delta=delta,
        byzantine=byzantine, task=task, rounds=rounds, data=data, clip_int=clip_int, ring_bits=ring,
        seed=seed, jobs=jobs,
    )  # fmt: skip
    if json_file is not None:
        require_writable(json_file)
    with progress_bar(quiet=quiet) as progress:
        found = request.run(progress)
    if json_file is not None:
        write_json(json_file, found)
    console = options.told_beside(json_file)
    if json_file is not None and not is_standard_output(json_file):
        console.print(f"Written: {json_file}", highlight=False)
    print_simulation(found, console)
    if found["failed"]:
        raise typer.Exit(1)
