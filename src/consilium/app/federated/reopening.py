"""A session of a folder, as it stands there: after a restart, and after its disk was full."""

from collections.abc import Callable

from consilium.app.federated.judged_later import Heard
from consilium.app.federated.judging import Judge
from consilium.app.federated.seen_desk import desk_for
from consilium.app.federated.session_desk import SessionDesk
from consilium.app.federated.session_folder import SessionFolder
from consilium.federated.coordinator import SessionCoordinator
from consilium.federated.owners import OwnerList
from consilium.federated.report import RoundReport
from consilium.federated.secure_sum.memory import Identity


def reopened(
    folder: SessionFolder,
    hub: Identity,
    told: Callable[[RoundReport], None] | None = None,
    judged: Heard | None = None,
) -> SessionDesk:
    """Return to where a folder's session stands, the attempt that is on included.

    Parameters
    ----------
    folder
        Of the session.
    hub
        The coordinator's name and signing key, as before.
    told
        Gets the report of each round, once it is kept.
    judged
        Gets it again, once its model is judged.

    Raises
    ------
    DataProblem
        A damaged folder.
    OutputProblem, UsageError
        One that cannot be written, or that another process has.
    """
    state, about = folder.load()
    text, admission_key = folder.owners(), bytes.fromhex(about["admission_key"])
    kept = SessionCoordinator.restore(state, OwnerList.from_text(text, admission_key))
    names = tuple(one.owner for one in kept.owners.owners)
    judge = Judge(kept.terms.task, about["options"], names, data=about.get("judge_data"))
    desk = desk_for(kept)(
        folder, kept, hub, owners_text=text, options=about["options"], judge=judge, told=told, judged=judged
    )
    desk.admission_key = admission_key
    desk.resume()
    return desk
