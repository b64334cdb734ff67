"""Numba's CUDA simulator, where a thread takes a millisecond; here half of one."""

import os

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"

if SIMULATED:
    from numba.cuda.simulator.kernel import BlockThread

    def is_alive(thread):
        """The simulator asks without pause, and so takes half of the time that it asks about."""
        if not thread.syncthreads_blocked:
            thread.join(0.0005)
        return super(BlockThread, thread).is_alive()

    BlockThread.is_alive = is_alive
