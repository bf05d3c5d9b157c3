"""lib/abi against the headers of this machine's Linux: constants, sizes and offsets."""

import subprocess
import sys

import pytest

from grade.eclipse import build


@pytest.mark.skipif(sys.platform != "linux", reason="the host is not Linux")
def test_abi_headers_are_those_of_linux(tmp_path):
    program = str(tmp_path / "abi")
    sources = build.sources("grade/host/test_abi.c", "grade/host/abi_*.c")
    assert sources
    p = subprocess.run(["cc", "-std=gnu11", "-I.", "-o", program, *sources], cwd=build.ROOT, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True)
    assert p.returncode == 0, p.stdout
    p = subprocess.run([program], stdout=subprocess.PIPE, text=True)
    assert p.returncode == 0, p.stdout
