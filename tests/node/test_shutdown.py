"""Stopping: asked for by a signal, or by the end of a stream."""

from __future__ import annotations

import subprocess
import sys

from tests.cli.clones import TOP

ENDS = (
    "import sys, time; from gitcoord.node.shutdown import StopFlag; "
    "StopFlag().at_eof(sys.stdin.buffer); time.sleep(0.2)"
)


def test_a_process_that_watches_its_standard_input_may_end_before_that_does() -> None:
    with subprocess.Popen([sys.executable, "-c", ENDS], cwd=TOP, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as ends:
        assert ends.wait(60) == 0 and ends.stderr is not None and ends.stderr.read() == b""
