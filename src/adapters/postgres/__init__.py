"""PostgreSQL, the only authority: schema, migrations, the unit of work and the reader."""
