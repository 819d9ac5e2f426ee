from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from tbsd_pack.tbsd_core.lock import hold, is_held, locked


def test_a_folder_is_held_by_one_process_and_free_after_it_is_killed(tmp_path):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with locked(tmp_path):
            os.write(writer, b"x")
            signal.pause()
        os._exit(0)
    os.read(reader, 1)
    try:
        with pytest.raises(RuntimeError, match="Another run is writing"), locked(tmp_path):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    with locked(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="cannot be written"), locked(tmp_path / "file" / "out"):
        pass


def test_who_asks_together_sees_the_run_and_not_each_other(tmp_path):
    held = hold(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(is_held, [tmp_path] * 8))
        held.release()
        assert not any(pool.map(is_held, [tmp_path] * 200))
