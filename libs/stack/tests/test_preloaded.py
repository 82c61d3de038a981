"""What several services import, the nursery has imported before it forks them: only then is it in memory once."""

import json
import subprocess
import sys
from collections import Counter

from crm_stack.layout import services_of, workspace

# A child for each service, as the nursery forks them.
_PROGRAM = """
import importlib, json, os, sys
from crm_stack.nursery_part import PRELOADED
for name in PRELOADED:
    importlib.import_module(name)
before = set(sys.modules)
found = {}
for service in sys.argv[1:]:
    reads, writes = os.pipe()
    if not os.fork():
        os.close(reads)
        importlib.import_module(f"crm_{service}.app")
        with os.fdopen(writes, "w") as out:
            json.dump([name for name in sys.modules if name not in before], out)
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as told:
        found[service] = json.load(told)
    os.wait()
print(json.dumps(found))
"""


def test_what_services_share_is_imported_before_they_are_forked() -> None:
    services = services_of(workspace())
    ran = subprocess.run(
        [sys.executable, "-s", "-P", "-c", _PROGRAM, *services],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = json.loads(ran.stdout)
    assert set(found) == set(services)
    for service, modules in found.items():
        # Their own code stays their own: tables and registries of one are nothing to another.
        assert f"crm_{service}.app" in modules
    of_several = {name for name, count in Counter(name for new in found.values() for name in new).items() if count > 1}
    assert of_several == set()
