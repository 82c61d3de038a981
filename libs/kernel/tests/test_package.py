"""What importing the kernel costs: rules import it, so it brings no framework along."""

import subprocess
import sys

import crm_kernel


def test_the_kernel_imports_nothing_heavy_and_nothing_of_ours() -> None:
    program = "import sys, crm_kernel; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stdout.split())
    foreign = loaded - sys.stdlib_module_names - {"crm_kernel", "uuid_utils"}
    foreign = {name for name in foreign if not name.startswith("_sysconfigdata")}  # the platform's part of `sysconfig`
    # What else is there, the interpreter's own start-up brought along (site, .pth files), not the kernel.
    bare = subprocess.run(
        [sys.executable, "-c", program.replace(", crm_kernel", "")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert foreign - set(bare.stdout.split()) == set()


def test_every_public_name_is_there() -> None:
    assert all(hasattr(crm_kernel, name) for name in crm_kernel.__all__)
