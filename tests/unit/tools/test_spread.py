"""Tasks over a Ray cluster, or here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from envs.errors import DataError
from pipeline.tools.spread import spread


class Opened:
    """Notes each time that it is unpacked, as a data set is opened."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __setstate__(self, state: dict[str, Path]) -> None:
        self.__dict__ = state
        (self.folder / f"{os.getpid()}-{len(list(self.folder.iterdir()))}").write_text("")


def square(shared: Opened, task: int) -> tuple[int, int]:
    return task * task, os.getpid()


def refuse(shared: None, task: int) -> int:
    if task == 3:
        raise DataError("tile", task, "Make it again.", "is damaged")
    return task


def die_once(folder: Path, task: int) -> int:
    mark = folder / str(task)
    if not mark.exists():
        mark.write_text("")
        os._exit(1)
    return task


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def test_without_a_cluster_tasks_run_here_in_their_order(tmp_path: Path) -> None:
    assert not ray.is_initialized()
    done = list(spread(square, Opened(tmp_path), [3, 1, 2]))
    assert done == [(t, (t * t, os.getpid())) for t in (3, 1, 2)]
    with pytest.raises(DataError, match="damaged"):
        list(spread(refuse, None, [1, 3]))


def test_each_worker_unpacks_what_is_shared_once(cluster: None, tmp_path: Path) -> None:
    done = dict(spread(square, Opened(tmp_path), range(30)))
    assert {task: result for task, (result, _) in done.items()} == {t: t * t for t in range(30)}
    workers = {worker for _, worker in done.values()}
    assert os.getpid() not in workers
    assert len(list(tmp_path.iterdir())) == len(workers)


def test_an_error_of_the_user_arrives_as_it_was_raised(cluster: None) -> None:
    with pytest.raises(DataError, match="tile = 3 is damaged") as raised:
        list(spread(refuse, None, range(5)))
    assert raised.type is DataError  # not Ray's, whose text is a worker's traceback


def test_a_task_whose_worker_dies_is_done_again(cluster: None, tmp_path: Path) -> None:
    assert sorted(task for task, _ in spread(die_once, tmp_path, [0, 1])) == [0, 1]
