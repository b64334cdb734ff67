"""How the output is cut into tiles of at most CHUNK pixels, near each other in each.

A tile is a few lines of a few columns: (first, lines, columns, jump, slab, leap). `jump` leads from
a line's first pixel to the next line's; but only `slab` lines lie in one slice of a volume, and the
next slice's lie `leap` on. A pixel's number is its place in a contiguous output.
"""

from __future__ import annotations

from numba.extending import register_jitable

from stn_ref.backends.cpu.flat import fetch_block, inner
from stn_ref.backends.cpu.rows import CHUNK

NARROW, SIDE = 64, 32  # a wider output is cut into tiles about so many pixels wide
DEEP, TALL = 8, 8  # the most slices, and lines of each, in a volume's tile that has enough of both


@register_jitable
def tiling(out, axes):
    """How an output (D', H', W') is cut.

    A narrow map is cut as it lies in memory, as if it were one row, which a signal is. A wide one
    is cut into squares, or nearly, and a volume into cubes: their windows, wherever they lie and
    however turned, are near each other.
    Returns the slices, rows and columns of a tile, those of what is cut, how many tiles lie down
    and across, and in all.
    """
    depth, height, width = out
    slices = 1
    if depth > 1:
        slices = part(depth, DEEP)
        rows = part(height, TALL if depth >= DEEP else CHUNK // slices // TALL)
        columns = part(width, CHUNK // (slices * rows))
    elif width <= NARROW or axes == 1:
        height, width, rows, columns = 1, height * width, 1, CHUNK
    else:
        columns = part(width, SIDE)
        down = (height * columns + CHUNK - 1) // CHUNK
        rows = min((height + down - 1) // down, CHUNK // columns)
    across, down = (width + columns - 1) // columns, (height + rows - 1) // rows
    tiles = across * down * ((depth + slices - 1) // slices)
    return slices, rows, columns, depth, height, width, down, across, tiles


@register_jitable
def part(side, most):
    """The length of a side's equal parts, or nearly, of at most so many pixels."""
    parts = max(1, (side + most - 1) // most)
    return max(1, (side + parts - 1) // parts)


@inner
def tile_at(chunk, cut):
    """A tile."""
    slices, rows, columns, depth, height, width, down, across, _ = cut
    k = 0
    if depth > 1:
        k, chunk = chunk // (across * down) * slices, chunk % (across * down)
    i, j = chunk // across * rows, chunk % across * columns
    slab = min(rows, height - i)
    lines, leap = min(slices, depth - k) * slab, height * width
    return k * leap + i * width + j, lines, min(columns, width - j), width, slab, leap


@inner
def tile_after(chunk, cut):
    """The tile after this one, without lines if there is none or memory is read in line anyway."""
    first, lines, columns, jump, slab, leap = tile_at(min(chunk + 1, cut[-1] - 1), cut)
    return first, lines if chunk + 1 < cut[-1] else 0, columns, jump, slab, leap


@inner
def line(tile, r):
    """The first pixel of line r of a tile."""
    first, lines, _, jump, slab, leap = tile
    return first + r * jump if lines == slab else first + r // slab * leap + r % slab * jump


@inner
def fetch_tile(memory, start, tile, each):
    """Ask for a tile's numbers, so many for each pixel, of memory that is contiguous."""
    _, lines, columns, jump, slab, _ = tile
    r = 0
    while r < lines:
        fetch_block(memory, start + each * line(tile, r), slab, each * jump, each * columns)
        r += slab
