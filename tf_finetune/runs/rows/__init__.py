"""Runs on rows of a table: fusion of pictures and columns, and its use.

`row_fusion` joins a row's pictures and columns at the end of a run, and
`fused_inputs` feeds them; `row_inference` and `row_export` evaluate, predict
and export a finished run, in place of `runs/finished/`.
"""
