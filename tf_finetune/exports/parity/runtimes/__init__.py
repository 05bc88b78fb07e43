"""Scripts that run an export as its users do: without this package.

Each is started by `exports/parity/fresh_process.py` as a process of its own,
`python -I SCRIPT ARTIFACT INPUTS OUTPUTS`, and imports numpy and the format's
own runtime, nothing else; so they share no code, and nothing imports them.
"""
