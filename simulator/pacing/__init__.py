"""How long a model takes: delays, profiles of real models, pings in silences."""
