from __future__ import annotations

import pytest
import torch
from tbsd_pack.tbsd_core.memory import is_out_of_memory


def test_an_allocation_that_fails_is_recognised():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(MemoryError()) and is_out_of_memory(torch.cuda.OutOfMemoryError("CUDA out of memory"))


def test_other_errors_are_not():
    with pytest.raises(RuntimeError) as caught:
        torch.zeros(2) @ torch.zeros(3)
    assert not is_out_of_memory(caught.value) and not is_out_of_memory(ValueError("out of memory"))
