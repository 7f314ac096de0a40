"""A call on one wire, answered by an upstream that speaks another dialect.

    the caller's body --prompts.read--> Prompt --prompts.write--> the upstream's body
    the upstream's events --answers.Reading--> deltas --answers.Writing--> the caller's events

Every dialect is read and written once; what goes between two of them is in `prompt` and `delta`. All of it is pure.
Which call may be translated, and what is left out: docs/gateway/translation.md.
"""
