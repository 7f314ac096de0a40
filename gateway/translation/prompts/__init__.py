"""Requests: each dialect read into a Prompt, and a Prompt written in each."""
