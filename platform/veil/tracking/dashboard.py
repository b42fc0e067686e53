"""optuna-dashboard on a journal that nothing in the browser can change: `python -m veil.tracking.dashboard JOURNAL`."""

import argparse
from pathlib import Path

from optuna.storages import JournalStorage
from optuna_dashboard import run_server

from veil.trial_log import ReadOnlyJournal


def main() -> None:
    """Serve until the process is stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("journal", type=Path)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    run_server(JournalStorage(ReadOnlyJournal(str(options.journal))), host=options.host, port=options.port)


if __name__ == "__main__":
    main()
