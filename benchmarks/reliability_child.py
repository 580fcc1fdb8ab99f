"""The `llamabench` command, which also writes down the ids of all that it asks: for `reliability.py` to count.

LLAMABENCH_ASKED=FILE python benchmarks/reliability_child.py run MODEL ...
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import Future

from llamabench.cli.main import main
from llamabench.engine.process import Engine
from llamabench.records import Answers, Request

ASKED = "LLAMABENCH_ASKED"
"""Names the file that receives a line for each chunk: its requests' ids as JSON."""


def write_down_what_is_asked(path: str) -> None:
    """From now on, every chunk's ids are in the file before the chunk is asked."""
    usual = Engine.submit

    def submit(self: Engine, requests: Sequence[Request]) -> Future[Answers]:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps([request.id for request in requests]) + "\n")
        return usual(self, requests)

    Engine.submit = submit  # type: ignore[method-assign]


if __name__ == "__main__":
    write_down_what_is_asked(os.environ[ASKED])
    main()
