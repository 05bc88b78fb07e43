"""Runs on whole rows of a table: what training adds, and what is asked later.

`fusing` puts a row's pictures and columns together at the end of a run, and
`inputs` is how they go in; `using` and `exports` are asked of a finished run,
in place of what is in `runs/use/`.
"""
