"""A call on one wire, answered by an upstream that speaks another dialect.

    the caller's body --request.read--> Prompt --request.write--> the upstream's body
    the upstream's events --answer.Reading--> deltas --answer.Writing--> the caller's events

A folder for each dialect, which is read and written once; what goes between two of them is in `prompt` and `delta`.
All of it is pure. Which call may be translated, and what is left out: docs/gateway/translation.md.
"""
