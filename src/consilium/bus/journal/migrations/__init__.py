"""The journal's tables step by step, by alembic."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection


def upgrade(connection: Connection, to: str = "head") -> None:
    """Bring the tables up, inside the connection's transaction."""
    command.upgrade(_config(connection), to)


def downgrade(connection: Connection, to: str = "base") -> None:
    """Bring the tables down, inside the connection's transaction.

    Raises
    ------
    DataProblem
        Rows would be lost.
    """
    command.downgrade(_config(connection), to)


def _config(connection: Connection) -> Config:
    config = Config()
    # alembic reads its options as a template, in which a per cent sign stands for more than itself
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
