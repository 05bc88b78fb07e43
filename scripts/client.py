"""Sends pictures to a served model: `python -m tf_finetune.client --help`."""

from tf_finetune.client.__main__ import main

if __name__ == "__main__":
    main()
