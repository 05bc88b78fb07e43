"""Runs on rows of a table: fusion of pictures and columns, and its use.

`fusing` joins a row's pictures and columns at the end of a run, and `inputs`
feeds them; `using` and `exports` evaluate, predict and export a finished run,
in place of `runs/use/`.
"""
