"""The dashboard's pages: rendered here, usable without a script, with nothing from any other host."""
