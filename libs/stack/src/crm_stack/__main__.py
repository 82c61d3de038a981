"""`python -m crm_stack`: the command line, for where the start script is not wanted (containers)."""

import sys

from crm_stack.cli import main

sys.exit(main())
