"""Where parts of work run: in this process, or on Ray. `from curation.engine import Engine, open_engine`."""

from curation.engine.engine import Engine, PartFunction, WorkerMaker
from curation.engine.open_engine import ENGINES, open_engine

__all__ = ["ENGINES", "Engine", "PartFunction", "WorkerMaker", "open_engine"]
