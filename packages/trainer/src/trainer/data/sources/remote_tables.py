"""Parquet tables of an object store or web server: row groups are fetched ahead and kept as local Arrow files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Event

import pyarrow as pa
import pyarrow.parquet as pq

from contracts.errors import BrokenArtifact, UserError
from trainer.data.remote.cache import CopyCache, Entry
from trainer.data.remote.files import RemoteFile, find_files, folder_of, open_table, read_whole
from trainer.data.remote.patience import patiently
from trainer.data.remote.prefetch import Prefetcher
from trainer.data.remote.settings import RemoteSettings
from trainer.data.sources.parquet_rows import ParquetSource


class RemoteParquetSource(ParquetSource):
    """Rows of parquet files that lie elsewhere: the same images in the same order as from local copies of the files.

    Errors: those of ParquetSource; Unreachable.
    """

    def __init__(self, addresses: Sequence[str], settings: RemoteSettings) -> None:
        self._settings = settings
        self._found = {file.address: file for file in find_files(addresses, settings)}
        self._copies = CopyCache(settings.folder(), settings.limit_bytes())
        self._prefetcher: Prefetcher | None = None
        super().__init__(addresses)

    def ahead(self, blocks: Sequence[int]) -> None:
        """Fetch these row groups in the background, in order."""
        if self._prefetcher is None:
            self._prefetcher = Prefetcher(lambda group, stop: self._copy(group, stop) is not None)
        self._prefetcher.want(blocks)

    def starts_workers_afresh(self) -> bool:
        """The clients of object stores do not survive a fork."""
        return True

    def _row_group(self, group: int) -> pa.Table:
        """A row group, mapped into memory from its copy. Errors: UserError for one that cannot be had."""
        while True:
            path = self._copy(group)
            assert path is not None
            try:
                return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
            except FileNotFoundError:
                continue  # removed by another process between the two

    def _copy(self, group: int, stop: Event | None = None) -> Path | None:
        file = self._file_of(group)
        number, columns = int(self._groups.group[group]), self._columns()
        identity = "\n".join([file.address, str(file.size), file.version, str(number), *columns])
        entry = Entry(identity, "rows.arrow", int(self._groups.size[group]))
        return self._copies.copy(entry, lambda draft: self._fetch(file, number, draft, stop), wait=stop is None)

    def _fetch(self, file: RemoteFile, number: int, draft: Path, stop: Event | None) -> None:
        def attempt() -> pa.Table:
            with pq.ParquetFile(open_table(file, self._settings)) as opened:
                return opened.read_row_group(number, columns=self._columns(), use_threads=False)

        try:
            table = patiently(file.address, self._settings, attempt, stop)
        except pa.ArrowException as error:
            detail = str(error).splitlines()[0]
            raise BrokenArtifact(f"{file.address}: row group {number} cannot be read ({detail})") from None
        try:
            with pa.OSFile(str(draft), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
        except OSError as error:
            raise UserError(f"{draft} cannot be written ({error}): make room or set data.remote") from None

    def _file_of(self, group: int) -> RemoteFile:
        return self._found[str(self._files[int(self._groups.file[group])])]

    def _opened(self, file: Path | str) -> pq.ParquetFile:
        found = self._found[str(file)]
        try:
            return patiently(found.address, self._settings, lambda: pq.ParquetFile(open_table(found, self._settings)))
        except pa.ArrowException as error:
            detail = str(error).splitlines()[0]
            raise BrokenArtifact(f"{found.address} is not a whole parquet file ({detail}): upload it again") from None

    def _column(self, file: Path | str, name: str) -> pa.ChunkedArray:
        read = super()._column
        return patiently(str(file), self._settings, lambda: read(file, name))

    def _beside(self, file: Path | str, path: str) -> bytes:
        return read_whole(f"{folder_of(str(file))}/{path}", self._settings)

    def __getstate__(self) -> dict[str, object]:
        return {**super().__getstate__(), "_prefetcher": None}
