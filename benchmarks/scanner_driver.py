"""Runs inside a peer's own environment: one command-line call a target; prints exit statuses."""

import io
import json
import os
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout

SECONDS = 60


def run(tool: str, path: str) -> object:
    if tool == "picklescan":
        from picklescan.cli import main

        sys.argv = ["picklescan", "-p", path]
        return main()
    if tool == "fickling":
        from fickling.cli import main

        return main(["fickling", "--check-safety", path])
    if tool == "modelscan":
        from modelscan.cli import cli

        return cli.main(args=["scan", "-p", path], standalone_mode=False)
    from modelaudit.cli import cli

    return cli.main(args=["scan", path, "--no-cache"], standalone_mode=False)


def code_of(tool: str, path: str) -> int:
    """The exit status that the command line would have; 124 for a time-out, 70 for a crash."""

    def late(_signal: int, _frame: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            result = run(tool, path)
        return result if isinstance(result, int) else 0
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except TimeoutError:
        return 124
    except BaseException:
        return 70
    finally:
        signal.alarm(0)


def main() -> None:
    tool, targets = sys.argv[1], json.load(sys.stdin)
    keep = os.dup(1)
    for target in targets:
        code = code_of(tool, target)
        os.write(keep, (json.dumps([target, code]) + "\n").encode())


main()
