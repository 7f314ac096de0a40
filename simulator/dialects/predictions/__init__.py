"""What hosts of many models share: the inputs of a model, what it makes of them, how long that takes, what it costs.

The facts of a model say all of it: `inputs`, `makes` and what goes with it (models/replicate.yaml, models/fal.yaml).
"""
