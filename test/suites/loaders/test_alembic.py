"""Alembic: migrations that change tables, and autogenerate that finds nothing more to do."""

import datetime

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata, produce_migrations
from alembic.migration import MigrationContext
from alembic.operations import Operations
from conftest import Database

OLD, NEW = sa.MetaData(schema="shop"), sa.MetaData(schema="shop")

sa.Table("customer", OLD, sa.Column("id", sa.Integer, primary_key=True, autoincrement=False), sa.Column("name", sa.String(40)),
         sa.Column("born", sa.Date), sa.Column("gone", sa.Text))
sa.Table("orders", OLD, sa.Column("id", sa.Integer, primary_key=True), sa.Column("customer", sa.Integer, index=True),
         sa.Column("price", sa.Integer))

sa.Table("customer", NEW, sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
         sa.Column("name", sa.String(80), nullable=False, server_default="?", comment="of the customer"), sa.Column("born", sa.Date),
         sa.Column("email", sa.Text), sa.UniqueConstraint("name", "born", name="customer_name"), comment="who buys")
sa.Table("orders", NEW, sa.Column("id", sa.BigInteger, primary_key=True),
         sa.Column("customer", sa.Integer, sa.ForeignKey("shop.customer.id", name="orders_customer", ondelete="CASCADE"), index=True),
         sa.Column("price", sa.Numeric(12, 2)), sa.Column("at", sa.DateTime(timezone=True), server_default=sa.func.now()))
sa.Table("line", NEW, sa.Column("orders", sa.BigInteger, sa.ForeignKey("shop.orders.id", name="line_orders"), primary_key=True),
         sa.Column("number", sa.Integer, primary_key=True), sa.Column("tags", sa.ARRAY(sa.Text)), sa.Column("more", sa.JSON))


def context(connection):
    return MigrationContext.configure(connection, opts={
        "include_schemas": True, "compare_type": True, "compare_server_default": True,
        "include_name": lambda name, kind, _: kind != "schema" or name == "shop"})


def migrate(connection, metadata):
    """Does what autogenerate says; returns what it still finds afterwards."""
    operations = Operations(context(connection))

    def invoke(operation):
        for one in getattr(operation, "ops", None) or [operation]:
            if one is operation:
                operations.invoke(operation)
            else:
                invoke(one)
    script = produce_migrations(context(connection), metadata)
    if script.upgrade_ops.ops:
        invoke(script.upgrade_ops)
    return [str(difference) for difference in compare_metadata(context(connection), metadata)]


def rows(database, schema, table):
    """without the moments of insertion"""
    return [{name: value for name, value in row.items() if name != "at"} for row in Database.rows(database, schema, table)]


def test_autogenerate(both):
    def story(database):
        database.sql("DROP SCHEMA IF EXISTS shop CASCADE")
        database.sql("CREATE SCHEMA shop")
        engine = sa.create_engine(f"postgresql+psycopg2://postgres@/{database.name}?host={database.host}&port={database.port}")
        customer, orders = OLD.tables["shop.customer"], OLD.tables["shop.orders"]
        with engine.begin() as connection:
            left = migrate(connection, OLD)
        with engine.begin() as connection:
            connection.execute(customer.insert(), [{"id": i, "name": f"name {i}", "born": datetime.date(2000, 1, 1), "gone": "x"} for i in range(300)])
            connection.execute(orders.insert(), [{"id": i, "customer": i % 300, "price": i} for i in range(900)])
            left += migrate(connection, NEW)                # with rows of the same transaction
            connection.execute(orders.delete().where(orders.c.id % 7 == 0))
        with engine.begin() as connection:
            connection.execute(NEW.tables["shop.line"].insert(), [{"orders": 1, "number": n, "tags": ["a", None], "more": {"n": n}} for n in range(5)])
            batch = Operations(context(connection))
            with batch.batch_alter_table("orders", schema="shop") as table:
                table.add_column(sa.Column("twice", sa.Numeric, sa.Computed("id * 2", persisted=True)))
                table.alter_column("price", new_column_name="cost", nullable=False)
                table.create_check_constraint("positive", sa.text("id >= 0"))
                table.create_index("orders_customer_id", ["customer", "id"])
        with engine.begin() as connection:
            left += migrate(connection, NEW)                # takes the batch back
            connection.execute(sa.text("DELETE FROM shop.customer WHERE id % 2 = 0 AND id > 1"))
            left += migrate(connection, OLD)                # and all of it
        return left
    both(story, "shop", rows=rows)
