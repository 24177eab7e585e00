"""Boards side by side: one thread and one line of progress each, and what became of every one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from bitwren.errors import BitwrenError

from .work import Patience, Work

Result = TypeVar("Result")


@dataclass(frozen=True)
class Failure:
    """A board that was not flashed. :ivar text: why, and what state it is in."""

    place: str
    text: str


def run(
    places: Sequence[str],
    flash: Callable[[int, Work], Result],
    console: Console,
    patience: Patience,
) -> list[Result | Failure]:
    """Flash boards in parallel; in the order of ``places``, what came of each.

    :param flash: flashes the board of a number. :param console: for progress, on stderr.
    :raises KeyboardInterrupt: after every board has stopped and was described.
    """
    stop = threading.Event()
    columns = (TextColumn("{task.fields[place]}"), TextColumn("{task.description}"), BarColumn(30), TimeElapsedColumn())
    with (
        Progress(*columns, console=console, disable=not console.is_terminal) as progress,
        ThreadPoolExecutor(len(places)) as pool,
    ):
        tasks = [progress.add_task("waiting", place=place, total=None) for place in places]

        def one(number: int) -> Result:
            try:
                return flash(number, _work(progress, tasks[number], stop, patience))
            except BitwrenError:
                progress.update(tasks[number], description="failed")
                raise

        futures: list[Future[Result]] = [pool.submit(one, number) for number in range(len(places))]
        interrupted = False
        while True:
            try:
                if not wait(futures, 1.0).not_done:
                    break
            except KeyboardInterrupt:
                interrupted = True
                stop.set()
    results: list[Result | Failure] = []
    for place, future in zip(places, futures, strict=True):
        error = future.exception()
        results.append(Failure(place, str(error)) if isinstance(error, BitwrenError) else future.result())
    if interrupted:
        for place, result in zip(places, results, strict=True):
            console.print(
                f"{place}: {result.text if isinstance(result, Failure) else 'flashed'}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
        raise KeyboardInterrupt
    return results


def _work(progress: Progress, task: TaskID, stop: threading.Event, patience: Patience) -> Work:
    def report(step: str, done: int, total: int) -> None:
        progress.update(task, description=step, completed=done, total=total or None)

    return Work(report, stop, patience=patience)
