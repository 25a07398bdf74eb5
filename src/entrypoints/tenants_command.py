"""``wallet tenants`` and ``wallet audit``: who may be served at all, and who decided on that."""

import json
from collections.abc import Mapping
from typing import Any

import attrs
import click

from entrypoints.administer import AS_JSON, administer, fail, minute, show, show_json
from entrypoints.bootstrap import Tenant


@click.group()
def tenants() -> None:
    """Tenants. Each has its own wallets and keys, and sees nothing of the others."""


@tenants.command()
@click.argument("name")
def create(name: str) -> None:
    """Make a tenant. Does nothing if there is one of this name."""
    id = administer(lambda admin: admin.ensure_tenant(name))
    click.echo(f"Tenant {name!r} has the id {id}. `wallet keys create --tenant {name}` makes it a key.")


@tenants.command("list")
@AS_JSON
def list_(as_json: bool) -> None:
    """List tenants, with how many keys of theirs are neither revoked nor expired."""
    found = administer(lambda admin: admin.list_tenants())
    if as_json:
        show_json([attrs.asdict(tenant) for tenant in found])
    else:
        show(
            ("NAME", "ID", "KEYS", "CREATED", "STATE"),
            [(t.name, str(t.id), str(t.active_keys), minute(t.created_at), _state(t)) for t in found],
        )


@tenants.command()
@click.argument("name")
def suspend(name: str) -> None:
    """Turn every call of a tenant away (403 tenant-suspended), reads too, within 5 seconds. Nothing of it is lost."""
    tenant = _found(administer(lambda admin: admin.suspend_tenant(name)), name)
    click.echo(f"Tenant {tenant.name!r} is {_state(tenant)}. `wallet tenants resume {tenant.name}` undoes that.")


@tenants.command()
@click.argument("name")
def resume(name: str) -> None:
    """Serve a suspended tenant again. The keys it had are as they were; those that expired meanwhile have."""
    tenant = _found(administer(lambda admin: admin.resume_tenant(name)), name)
    click.echo(f"Tenant {tenant.name!r} is {_state(tenant)}.")


@click.command()
@click.option("--tenant", help="Only this tenant's.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="How many, at most.")
@AS_JSON
def audit(tenant: str | None, limit: int, as_json: bool) -> None:
    """What was done to keys and tenants, the newest first. The database changes and deletes nothing of it.

    The first name is what the administrator's machine said; the one in brackets is whom the database let in.
    """
    found = administer(lambda admin: admin.audit_records(tenant, limit=limit))
    if as_json:
        show_json([attrs.asdict(record) for record in found])
    else:
        show(
            ("AT", "WHO", "TENANT", "DID", "TO", "DETAILS"),
            [
                (
                    f"{record.at:%Y-%m-%d %H:%M:%S}",
                    f"{record.actor} ({record.database_user})",
                    record.tenant,
                    record.action,
                    str(record.subject),
                    _in_words(record.details),
                )
                for record in found
            ],
        )


def _found(tenant: Tenant | None, name: str) -> Tenant:
    if tenant is None:
        fail(f"there is no tenant {name!r}; `wallet tenants list` shows them")
    return tenant


def _state(tenant: Tenant) -> str:
    return "active" if tenant.suspended_at is None else f"suspended since {minute(tenant.suspended_at)}"


def _in_words(details: Mapping[str, Any]) -> str:
    return " ".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in details.items()
        if value is not None
    )
