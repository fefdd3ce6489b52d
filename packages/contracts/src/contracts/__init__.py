"""What two Winnow packages must agree on: errors, strict configuration, atomic publishing, files on disk.

Needs numpy, pyarrow, pydantic and PyYAML only; never torch, ray or faiss.
"""

__version__ = "0.1.0"
