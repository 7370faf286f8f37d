"""`python -m exlab_wizard` is `exlab-wizard`."""

from __future__ import annotations

import sys

from exlab_wizard.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
