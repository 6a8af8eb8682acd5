"""docs/fake-genesys.md as a stranger follows it: in a folder and an AIRFLOW_HOME that hold nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "fake-genesys.md").read_text()
CODE = re.compile(r"```(python|bash)\n(.*?)```", re.DOTALL)


def test_the_example_of_a_test_runs_as_it_is_printed(tmp_path: Path) -> None:
    section = PAGE[PAGE.index("## In a test") : PAGE.index("## With Docker Compose")]
    conftest, dag, test, commands, context_manager = (code for _, code in CODE.findall(section))
    (tmp_path / "my_dags").mkdir()
    files = {"conftest.py": conftest, "my_dags/recordings.py": dag, "test_recordings.py": test}
    for name, code in files.items():
        (tmp_path / name).write_text(code)
    (tmp_path / "context_manager.py").write_text(f"{context_manager}    print(genesys.url)\n")
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTEST"))}
    own["PATH"] = f"{Path(sys.executable).parent}:{own['PATH']}"
    script = f"{commands}python context_manager.py\n"
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env=own,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
