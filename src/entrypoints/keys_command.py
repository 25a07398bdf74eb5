"""``wallet keys``: makes API keys, replaces them, lets them end. A key is shown once: only a hash of it is kept."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import attrs
import click

from entrypoints import bootstrap
from entrypoints.administer import AS_JSON, Duration, Moment, administer, fail, minute, show, show_json
from entrypoints.bootstrap import UNCHANGED, ApiKey, BootstrapError, Lifetime, Rotated

HEAD: Final = ("ID", "TENANT", "NAME", "SCOPES", "LIMIT", "CREATED", "EXPIRES", "STATE")

EXPIRES_IN: Final = click.option("--expires-in", type=Duration(), help="So long from now, such as 12h or 90d.")
EXPIRES_AT: Final = click.option("--expires-at", type=Moment(), help="At this time, such as 2030-01-31T12:00:00Z.")


@click.group()
def keys() -> None:
    """API keys. A key names a tenant, and what may be done in it.

    A running service sees a change after 5 seconds at most; that a key has expired, at once.
    """


@keys.command()
@click.option("--tenant", default=bootstrap.DEFAULT_TENANT, show_default=True, help="Whose wallets the key opens.")
@click.option("--name", default="key", show_default=True, help="For people, to tell keys apart.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(bootstrap.SCOPES),
    default=("read", "write"),
    show_default=True,
    help="What the key may do; may be repeated.",
)
@EXPIRES_IN
@EXPIRES_AT
@click.option("--rate-limit", type=int, metavar="N", help="Requests a second, in place of WALLET_RATE_LIMIT.")
@click.option("--create-tenant", is_flag=True, help="Make the tenant if it does not exist.")
def create(
    tenant: str,
    name: str,
    scopes: tuple[str, ...],
    expires_in: timedelta | None,
    expires_at: datetime | None,
    rate_limit: int | None,
    create_tenant: bool,
) -> None:
    """Make an API key, and print it: once, since only a hash of it is kept."""
    expires = _lifetime(expires_in, expires_at)

    async def run(admin: bootstrap.Admin) -> tuple[UUID, str]:
        if not create_tenant and tenant not in {
            bootstrap.DEFAULT_TENANT,
            *(t.name for t in await admin.list_tenants()),
        }:
            raise BootstrapError(f"there is no tenant {tenant!r}; --create-tenant makes it")
        return await admin.create_key(tenant, name, scopes, expires=expires, rate_limit_per_s=rate_limit)

    id, secret = administer(run)
    click.echo(secret)
    click.echo(f"Key {id} of tenant {tenant!r}. It is shown this once.", err=True)


@keys.command("list")
@click.option("--tenant", help="Only this tenant's.")
@AS_JSON
def list_(tenant: str | None, as_json: bool) -> None:
    """List API keys. Their secrets are not known any more."""
    found = administer(lambda admin: admin.list_keys(tenant))
    if as_json:
        show_json([{**attrs.asdict(key), "scopes": _scopes(key)} for key in found])
    else:
        show(HEAD, [_row(key) for key in found])


@keys.command()
@click.argument("key_id", type=click.UUID)
@click.option(
    "--overlap", type=Duration(), default="24h", show_default=True, help="How long the old key stays good, such as 0s."
)
@EXPIRES_IN
@EXPIRES_AT
def rotate(key_id: UUID, overlap: timedelta, expires_in: timedelta | None, expires_at: datetime | None) -> None:
    """Make a key that replaces another, and print it. For the overlap both are good, and then the old one ends.

    The new key has the old one's tenant, name, scopes and rate limit, and lives as long as that was to.
    """
    expires = _lifetime(expires_in, expires_at)

    async def run(admin: bootstrap.Admin) -> Rotated | None:
        return await admin.rotate_key(key_id, overlap, expires)

    rotated = administer(run)
    if rotated is None:
        fail(f"there is no key {key_id}")
    click.echo(rotated.secret)
    click.echo(
        f"Key {rotated.new.id} of tenant {rotated.new.tenant!r}. It is shown this once. "
        f"Key {key_id} ends at {minute(rotated.old.expires_at)} UTC.",
        err=True,
    )


@keys.command()
@click.argument("key_id", type=click.UUID)
@EXPIRES_IN
@EXPIRES_AT
@click.option("--never-expires", is_flag=True, help="Until it is revoked.")
@click.option("--rate-limit", type=int, metavar="N", help="Requests a second, in place of WALLET_RATE_LIMIT.")
@click.option("--no-rate-limit", is_flag=True, help="No limit of its own: WALLET_RATE_LIMIT holds.")
def change(
    key_id: UUID,
    expires_in: timedelta | None,
    expires_at: datetime | None,
    never_expires: bool,
    rate_limit: int | None,
    no_rate_limit: bool,
) -> None:
    """Give a key another end, or another rate limit."""
    if never_expires and (expires_in or expires_at):
        raise click.UsageError("--never-expires and an end contradict each other")
    if no_rate_limit and rate_limit is not None:
        raise click.UsageError("--no-rate-limit and --rate-limit contradict each other")
    expires = _lifetime(expires_in, expires_at)

    async def run(admin: bootstrap.Admin) -> ApiKey | None:
        return await admin.change_key(
            key_id,
            expires=UNCHANGED if expires is None and not never_expires else expires,
            rate_limit_per_s=UNCHANGED if rate_limit is None and not no_rate_limit else rate_limit,
        )

    show(HEAD, [_row(_found(administer(run), key_id))])


@keys.command()
@click.argument("key_id", type=click.UUID)
def revoke(key_id: UUID) -> None:
    """Revoke an API key, by its id (see `wallet keys list`). A running service honours it for 5 seconds at most."""
    key = _found(administer(lambda admin: admin.revoke_key(key_id)), key_id)
    click.echo(f"Key {key.id} ({key.name!r}, of tenant {key.tenant!r}) is revoked.")


def _lifetime(expires_in: timedelta | None, expires_at: datetime | None) -> Lifetime:
    if expires_in is not None and expires_at is not None:
        raise click.UsageError("--expires-in and --expires-at contradict each other")
    return expires_at if expires_in is None else expires_in


def _found(key: ApiKey | None, key_id: UUID) -> ApiKey:
    if key is None:
        fail(f"there is no key {key_id}")
    return key


def _scopes(key: ApiKey) -> list[str]:
    return [scope for scope in bootstrap.SCOPES if scope in key.scopes]


def _row(key: ApiKey) -> tuple[str, ...]:
    return (
        str(key.id),
        key.tenant,
        key.name,
        ",".join(_scopes(key)),
        "-" if key.rate_limit_per_s is None else f"{key.rate_limit_per_s}/s",
        minute(key.created_at),
        minute(key.expires_at),
        f"revoked {minute(key.revoked_at)}" if key.revoked_at else key.state,
    )
