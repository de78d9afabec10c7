import os
import pathlib
import re
import subprocess
import sys

import keras

ROOT = pathlib.Path(__file__).parents[2]
PAGE = ROOT / "docs" / "distributed.md"
TIMEOUT = 300  # seconds


def test_scripts_in_the_documentation_run_as_they_stand(tmp_path):
    backend = keras.backend.backend()
    scripts = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    scripts = [each for each in scripts if f'"KERAS_BACKEND"] = "{backend}"' in each]
    assert scripts
    command = [sys.executable]
    if backend == "torch":
        command += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for script in scripts:
        path = tmp_path / "train.py"
        path.write_text(script)
        finished = subprocess.run(
            [*command, path],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            timeout=TIMEOUT,
        )
        assert finished.returncode == 0, finished.stderr
        if "count_macs" in script:
            assert "MACs per sample" in finished.stdout
