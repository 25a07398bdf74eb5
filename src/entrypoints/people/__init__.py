"""The commands for people: money in and out of wallets, over HTTP or in this process."""
