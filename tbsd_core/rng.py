"""Named random generators: each draw is a function of (seed, purpose, step) and of nothing else.

So a resumed run continues exactly, and drawing more cameras never changes the noise.
"""

from __future__ import annotations

import hashlib
import math

import torch

SKIPPED = 1 << 20  # numbers that are drawn at once and discarded


def named_generator(seed: int, purpose: str, step: int = 0) -> torch.Generator:
    """A fresh CPU generator for one purpose ("camera", "timestep", "noise", "init", ...) at one step.

    Draw on the CPU and move the result: the numbers are then the same on every device.
    """
    digest = hashlib.sha256(f"{seed}/{purpose}/{step}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


class PartGenerator(torch.Generator):
    """A generator from which `rand_rows` takes the rows of some views of a batch, as if it drew for all of them.

    So processes, and views that are rendered a few at a time, share the draws of a batch. A scene that draws in another
    way than by `rand_rows` draws the same numbers for each part.
    """

    own: range
    n_views: int
    _known: dict[tuple[int, int], torch.Tensor]
    _calls: int

    @classmethod
    def of(
        cls,
        generator: torch.Generator,  # new
        own: range,  # of the views
        n_views: int,  # of the batch
        known: dict[tuple[int, int], torch.Tensor] | None = None,  # of other parts of this batch: draws made once
    ) -> torch.Generator:
        """The generator itself where all views are its own."""
        if len(own) == n_views:
            return generator
        part = cls()
        part.set_state(generator.get_state())
        part.own, part.n_views, part._calls = own, n_views, 0
        part._known = {} if known is None else known
        return part

    def rows(self, n: int, shape: tuple[int, ...], dtype: torch.dtype | None) -> torch.Tensor:
        """Its own n rows of the next draw of all views."""
        call, self._calls = self._calls, self._calls + 1
        self._known.setdefault((call, 0), self.get_state())
        of_view = n // len(self.own) * math.prod(shape)  # numbers
        self._go_to(call, self.own.start, of_view, dtype)
        drawn = torch.rand(n, *shape, generator=self, dtype=dtype)
        self._known.setdefault((call, self.own.stop), self.get_state())
        self._go_to(call, self.n_views, of_view, dtype)
        return drawn

    def _go_to(self, call: int, view: int, of_view: int, dtype: torch.dtype | None) -> None:
        """Go to the state before the numbers of a view: draw the numbers between it and the nearest known state."""
        at = max(v for c, v in self._known if c == call and v <= view)
        self.set_state(self._known[call, at])
        for v in range(at, view):
            for left in range(of_view, 0, -SKIPPED):
                torch.rand(min(left, SKIPPED), generator=self, dtype=dtype)
            self._known[call, v + 1] = self.get_state()


def rand_rows(n: int, *shape: int, generator: torch.Generator, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Uniform numbers [n, *shape] in [0, 1), as many for each view; from a PartGenerator, the rows of its views."""
    if isinstance(generator, PartGenerator):
        return generator.rows(n, shape, dtype)
    return torch.rand(n, *shape, generator=generator, dtype=dtype)
