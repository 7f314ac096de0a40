"""Where the gateway keeps what must survive it: tables, engine, migrations, and the one writer with group commit."""
