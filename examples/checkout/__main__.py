"""``python -m examples.checkout``: the shop on 127.0.0.1, with its orders in a file."""

import asyncio
import os
from pathlib import Path
from typing import Final
from uuid import UUID

import uvicorn

from adapters.http_client import Retries, WalletClient
from examples.checkout.app import create_app
from examples.checkout.orders import Orders

SHOP: Final = UUID("0190c0de-0000-7000-8000-000000005409")
PATIENCE: Final = Retries(deadline_s=5, attempt_s=4)
"""Longer than this no customer waits for an answer. The order stays open, and is resumed."""


async def open_the_till(url: str, api_key: str) -> None:
    """Have the shop's wallet. Its key and id never change, so it is opened once."""
    async with WalletClient(url, api_key) as wallets:
        await wallets.open("EUR", id=SHOP, key="checkout/open")


def main() -> None:
    """Serve until told to stop."""
    url = os.environ.get("WALLET_URL", "http://127.0.0.1:8080")
    api_key = os.environ.get("WALLET_API_KEY") or Path(".wallet/api-key").read_text().strip()
    orders = Orders(Path(os.environ.get("CHECKOUT_DATABASE", "checkout.sqlite")))
    asyncio.run(open_the_till(url, api_key))
    app = create_app(orders, WalletClient(url, api_key, retries=PATIENCE), SHOP)
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("CHECKOUT_PORT", "8090")), log_level="warning")


if __name__ == "__main__":
    main()
