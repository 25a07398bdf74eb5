"""The replay cache in Redis. It only ever makes a replay cheaper: PostgreSQL is the authority."""
