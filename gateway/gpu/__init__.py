"""GPU jobs: hosted models and callers' own containers, from the submission to the settle and the webhook."""
