"""Run by alembic, which `consilium.bus.journal.migrations` calls with an open connection."""

from alembic import context

from consilium.bus.journal.schema import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
context.run_migrations()
