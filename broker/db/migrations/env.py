"""Alembic's way in: the connection comes from `broker.db.migrate`, which holds the lock."""

from alembic import context

from broker.db.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=False,
    transaction_per_migration=False,
)
context.run_migrations()
