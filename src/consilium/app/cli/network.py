"""``consilium federate``: owners and their keys, sessions of a service, and a participant."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consilium.app.cli import options
from consilium.app.cli.asking import Url, asking
from consilium.app.cli.guard import guarded
from consilium.domain import UnknownName, UsageError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from consilium.app.client.call import Call

Session = Annotated[str, typer.Argument(help="Name of the session.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, in one line; it is kept with the session.")]
OwnersFile = Annotated[Path, typer.Option("--owners", help="The signed owner list.")]
Admission = Annotated[
    str, typer.Option("--admission-key", help="Public key that signs the owner list, as hex digits.")
]
Symbols = Annotated[str | None, typer.Option("--symbols", help="Of --data, separated by commas.")]
Data = Annotated[
    Path | None, typer.Option("--data", help="Candles, for the task candles: a file or a folder.")
]


# Owners.


@guarded
def owners_new(file: Annotated[Path, typer.Argument(help="New file for the private key.")]) -> None:
    """Make a signing key: of an owner, or of who admits owners. It prints the public half."""
    from consilium.app.federated.key_files import make_key

    typer.echo(make_key(file).public.hex())


@guarded
def owners_sign(
    owners: Annotated[
        list[str], typer.Argument(metavar="OWNER=KEY[:STAKE]...", help="Who is admitted: public keys in hex.")
    ],
    key: Annotated[Path, typer.Option("--key", help="Private key of who admits.")],
    out: Annotated[Path, typer.Option("--out", help="File of the list.")],
    session: Annotated[
        str, typer.Option("--session", help="The one session that the list is for (default: any).")
    ] = "",
) -> None:
    """Issue the signed list of owners: one participant an owner, weighed by public stake."""
    import time

    from consilium.app.federated.key_files import read_key
    from consilium.federated.owners import OwnerList, write_owners

    signing = read_key(key)
    admitted = OwnerList(
        owners=tuple(_owner(text) for text in owners), ts_issued=time.time_ns(), session=session
    )
    write_owners(out, admitted, signing.private)
    typer.echo(f"{len(admitted.owners)} owners in {out}; admission key {signing.public.hex()}")


def _owner(text: str) -> Any:
    from consilium.app.federated.key_files import public_key
    from consilium.federated.owners import Owner

    name, _, rest = text.partition("=")
    key, _, stake = rest.partition(":")
    if not name or not key or (stake and not stake.isdigit()):
        raise UsageError("an owner must be OWNER=KEY or OWNER=KEY:STAKE", text[:80], "write it so")
    return Owner(owner=name, key=public_key(key), stake=int(stake or 1))


@guarded
def owners_show(
    file: Annotated[Path, typer.Argument(help="The signed owner list.")], admission_key: Admission
) -> None:
    """Check an owner list, and show it."""
    from consilium.app.federated.key_files import public_key
    from consilium.federated.owners import read_owners

    found = read_owners(file, public_key(admission_key))
    for one in found.owners:
        typer.echo(f"{one.owner}  {one.key.hex()}  stake {one.stake}")
    typer.echo(f"{len(found.owners)} owners, signed by the key; digest {found.digest()}")


# Sessions.


@guarded
def sessions_list(url: Url = None, json_file: options.JsonFile = None) -> None:
    """Show the sessions of a service."""
    from consilium.app.cli.network_tables import show_sessions
    from consilium.app.client import network_calls

    _tell(url, network_calls.sessions(), json_file, show_sessions)


@guarded
def sessions_show(session: Session, url: Url = None, json_file: options.JsonFile = None) -> None:
    """Show one session: what is agreed, where it stands, and what is promised."""
    from consilium.app.cli.network_tables import show_session
    from consilium.app.client import network_calls

    _tell(url, network_calls.session_about(session), json_file, show_session)


@guarded
def sessions_reports(session: Session, url: Url = None, json_file: options.JsonFile = None) -> None:
    """Show the reports of a session's rounds."""
    from consilium.app.cli.network_tables import show_reports
    from consilium.app.client import network_calls

    _tell(url, network_calls.session_reports(session), json_file, show_reports)


@guarded
def sessions_create(
    session: Session,
    owners: OwnersFile,
    admission_key: Admission,
    task: Annotated[
        str, typer.Option("--task", help="digits, candles, or synthetic (no learning).")
    ] = "digits",
    task_option: Annotated[
        list[str] | None, typer.Option("--task-option", help="NAME=VALUE of the task; again for more.")
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", help="How many.")] = 10,
    mode: Annotated[
        str, typer.Option("--mode", help="sum (nobody sees an update) or visible (the coordinator does).")
    ] = "sum",
    buffer: Annotated[
        int | None,
        typer.Option("--buffer", help="Rounds of the first so many updates, waiting for nobody (visible)."),
    ] = None,
    optimizer: Annotated[
        str, typer.Option("--optimizer", help="fedavg, fedprox, fedadam, scaffold.")
    ] = "fedavg",
    clip: Annotated[float, typer.Option("--clip", help="L2 norm to which an update is clipped.")] = 1.0,
    gamma: Annotated[float, typer.Option("--gamma", help="Share of colluding owners withstood.")] = 0.1,
    delta: Annotated[float, typer.Option("--delta", help="Share of dropouts allowed for.")] = 0.05,
    cut_off: Annotated[int, typer.Option("--cut-off", help="Seconds of a round at most.")] = 600,
    least: Annotated[int, typer.Option("--least", help="Fewest participants of a round.")] = 3,
    epochs: Annotated[int, typer.Option("--epochs", help="Passes over a participant's rows.")] = 5,
    batch: Annotated[int, typer.Option("--batch", help="Rows of a step.")] = 32,
    rate: Annotated[float, typer.Option("--rate", help="Learning rate.")] = 0.001,
    seed: Annotated[int, typer.Option("--seed", help="Of samples and first weights.")] = 0,
    data: Data = None,
    symbols: Symbols = None,
    judge_data: Annotated[
        str | None,
        typer.Option("--judge-data", help="Candles on the service's machine that its models are judged on."),
    ] = None,
    url: Url = None,
    json_file: options.JsonFile = None,
) -> None:
    """Begin a session at a service: owners of the list may join it, and `start` begins its rounds."""
    import base64

    from consilium.app.cli.network_tables import show_moved
    from consilium.app.client import network_calls
    from consilium.app.federated.key_files import public_key
    from consilium.app.federated.local_task import local_task
    from consilium.federated.owners import read_owners

    if mode not in ("sum", "visible"):
        raise UnknownName("--mode", mode, ("sum", "visible"))
    admitted = read_owners(owners, public_key(admission_key))
    names = tuple(one.owner for one in admitted.owners)
    settled = _options(task_option)
    here = local_task(
        task, settled, names, owner=names[0], data=data, symbols=options.split_names(symbols)
    )  # fmt: skip
    body = {
        "session": session, "task": task, "rounds": rounds, "optimizer": optimizer, "clip": clip,
        "mode": mode, "buffering": None if buffer is None else {"size": buffer},
        "gamma": gamma, "delta": delta, "cut_off_seconds": cut_off, "least_participants": least, "seed": seed,
        "local": {"epochs": epochs, "batch_size": batch, "learning_rate": rate},
        "options": settled, "judge_data": judge_data,
        "owners": owners.read_text(encoding="utf-8"), "admission_key": admission_key,
        "parameters": base64.b64encode(here.initial().astype("<f8").tobytes()).decode(),
    }  # fmt: skip
    _tell(url, network_calls.create_session(body), json_file, show_moved)


def _options(given: list[str] | None) -> dict[str, Any]:
    """Read NAME=VALUE: numbers as numbers, all else as text."""
    import json

    found: dict[str, Any] = {}
    for text in given or []:
        name, sign, value = text.partition("=")
        if not name or not sign:
            raise UsageError("--task-option must be NAME=VALUE", text[:80], "write it so")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _move(word: str) -> Any:
    @guarded
    def move(session: Session, reason: Reason, url: Url = None, json_file: options.JsonFile = None) -> None:
        from consilium.app.cli.network_tables import show_moved
        from consilium.app.client import network_calls

        _tell(url, getattr(network_calls, f"{word}_session")(session, reason), json_file, show_moved)

    move.__doc__ = f"{word.capitalize()} a session."
    return move


sessions_start, sessions_pause = _move("start"), _move("pause")
sessions_resume, sessions_cancel = _move("resume"), _move("cancel")


def _tell(url: str | None, call: "Call[Any]", json_file: Any, show: Any) -> None:
    if json_file is not None:
        from consilium.app.files import require_writable, write_json

        require_writable(json_file)
    with asking(url, 60.0) as client:
        found: BaseModel = client(call)
    plain = found.model_dump(mode="json")
    if json_file is not None:
        write_json(json_file, plain)
    show(plain, options.told_beside(json_file, soft_wrap=True))


# A participant.


@guarded
def participant(
    session: Annotated[str, typer.Option("--session", help="Name of the session.")],
    owner: Annotated[str, typer.Option("--owner", help="Name in the owner list.")],
    key: Annotated[
        Path, typer.Option("--key", help="Private key of the owner: consilium federate owners new.")
    ],
    admission_key: Admission,
    url: Annotated[str, typer.Option("--url", help="Of the coordinator, https://...")],
    store: Annotated[
        Path | None, typer.Option("--store", help="Folder of its secrets (default: federated/SESSION-OWNER).")
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option("--ca", help="Certificates to trust (default: api.tls_ca, else the system's)."),
    ] = None,
    patience: Annotated[
        float, typer.Option("--patience", min=1.0, help="Seconds that the coordinator may be away.")
    ] = 300.0,
    owners: Annotated[
        Path | None,
        typer.Option("--owners", help="Your copy of the signed owner list (default: the coordinator's)."),
    ] = None,
    least: Annotated[
        int, typer.Option("--least", min=0, help="Fewest participants of a round, where the terms ask fewer.")
    ] = 0,
    gamma: Annotated[
        float,
        typer.Option("--gamma", min=0.0, help="Share of colluding owners that the terms must withstand."),
    ] = 0.0,
    visible: Annotated[
        bool, typer.Option("--visible", help="Take part also where the coordinator sees every update.")
    ] = False,
    data: Data = None,
    symbols: Symbols = None,
) -> None:
    """Take part in a session until it ends: train on rows that stay here, and send what its mode says.

    The API key, of scope publish, is read from CONSILIUM_API_KEY. After a kill the same command goes on.
    """
    from consilium.app.carriers.https import HttpsCarrier
    from consilium.app.federated.agreeing import OwnFloors
    from consilium.app.federated.key_files import public_key, read_key
    from consilium.app.federated.local_task import local_task
    from consilium.app.federated.member import NetworkMember
    from consilium.app.federated.secret_store import FileSecretStore
    from consilium.app.settings import load_settings
    from consilium.federated.owners import read_owners
    from consilium.federated.secure_sum.memory import Identity

    settings = load_settings()
    chosen = options.split_names(symbols)
    identity, admission = Identity(owner, read_key(key)), public_key(admission_key)
    folder = store or settings.data_dir / "federated" / f"{session}-{owner}"
    secret = settings.api_key.get_secret_value() if settings.api_key else ""

    def told(text: str) -> None:
        typer.echo(text, err=True)

    trusted = ca or settings.api.tls_ca
    carrier = HttpsCarrier(url, session, key=secret, ca=trusted, patience_s=patience, told=told)
    try:
        with FileSecretStore(folder) as kept:
            member = NetworkMember(
                carrier,
                identity,
                admission,
                kept,
                lambda name, settled, names: local_task(
                    name, settled, names, owner=owner, data=data, symbols=chosen
                ),
                told=told,
                owners=None if owners is None else read_owners(owners, admission),
                own=OwnFloors(least=least, gamma=gamma, visible=visible),
            )
            ended = member.run()
    finally:
        carrier.close()
    typer.echo(f"session {session} {ended}")
    if ended != "completed":
        raise typer.Exit(1)
