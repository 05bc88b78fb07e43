"""A command in a child process: it stops when its parent has gone.

    python -m tf_finetune.tuning.child_command train --flagfile=FILE

A parent that is killed cannot stop its children, which would go on and hold
memory. The system then closes the pipe that is the child's standard input; the
child takes that for SIGTERM, writes its checkpoint and exits.
"""

import os
import signal
import stat
import sys
import threading

from tf_finetune import commands


def main() -> None:
    """Runs the command that `sys.argv` names; its flags follow the name.

    If stdin is a pipe, the command stops when the parent process has gone.

    Raises:
        SystemExit: The command has ended.
    """
    # Only a pipe has another end; a terminal or file is left alone.
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        threading.Thread(target=_watch_parent, daemon=True).start()
    commands.start(sys.argv.pop(1))


def _watch_parent() -> None:
    # Nothing is ever written: the read ends when the parent does.
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
