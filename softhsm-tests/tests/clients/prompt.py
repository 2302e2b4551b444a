"""Runs a command at a terminal of its own, types the first argument once the terminal stops echoing, and prints what a person
would have seen. Ends as the command does."""

import os
import pty
import select
import sys
import termios

process, terminal = pty.fork()
if process == 0:
    os.execv(sys.argv[2], sys.argv[2:])
shown, typed = b"", False
while True:
    ready, _, _ = select.select([terminal], [], [], 0.02)
    if ready:
        try:
            part = os.read(terminal, 4096)
        except OSError:
            break
        if not part:
            break
        shown += part
    if not typed and not termios.tcgetattr(terminal)[3] & termios.ECHO:
        os.write(terminal, sys.argv[1].encode() + b"\n")
        typed = True
_, status = os.waitpid(process, 0)
sys.stdout.write(shown.decode())
sys.exit(os.waitstatus_to_exitcode(status))
