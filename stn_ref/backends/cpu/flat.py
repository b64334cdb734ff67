"""Memory as it lies: any layout through flat, unsigned indices.

A negative index means "from the end" to Numba, a test and a move for every load; an unsigned one
costs nothing. So an array of any strides is looked at as one flat stretch that begins at its lowest
address, and `flat` says where its first element lies in it.
"""

from __future__ import annotations

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

# A function that only others here call needs no door to Python, and compiles sooner without.
inner = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)


@intrinsic
def flat(context, array):
    """All memory from an array's lowest to its highest element, and how the array lies in it.

    Returns memory, contiguous and of the array's dtype; the place of array[0, …, 0] in it; and the
    array's strides, counted in elements.
    """
    kind = types.Array(array.dtype, 1, "C")
    result = types.Tuple((kind, types.intp, types.UniTuple(types.intp, array.ndim)))

    def generate(context, builder, signature, values):
        given = context.make_array(array)(context, builder, values[0])
        zero, one = context.get_constant(types.intp, 0), context.get_constant(types.intp, 1)
        size = context.get_constant(types.intp, context.get_abi_sizeof(given.data.type.pointee))
        start, length, empty, steps = zero, one, cgutils.false_bit, []
        for axis in range(array.ndim):
            extent = builder.extract_value(given.shape, axis)
            step = builder.sdiv(builder.extract_value(given.strides, axis), size)
            reach = builder.mul(builder.sub(extent, one), step)
            backwards = builder.icmp_signed("<", step, zero)
            start = builder.sub(start, builder.select(backwards, reach, zero))
            length = builder.add(length, builder.select(backwards, builder.neg(reach), reach))
            empty = builder.or_(empty, builder.icmp_signed("==", extent, zero))
            steps.append(step)
        start, length = builder.select(empty, zero, start), builder.select(empty, zero, length)
        view = context.make_array(kind)(context, builder)
        context.populate_array(
            view,
            data=builder.gep(given.data, [builder.neg(start)]),
            shape=cgutils.pack_array(builder, [length]),
            strides=cgutils.pack_array(builder, [size]),
            itemsize=size,
            meminfo=None,
        )
        parts = [view._getvalue(), start, cgutils.pack_array(builder, steps)]
        return context.make_tuple(builder, result, parts)

    return result(array), generate


@intrinsic
def lend(context, value):
    """The same array, or tuple of arrays and numbers, without a count of who holds it.

    Counting is an atomic operation for every slice taken. The owner has to outlive the loan: an
    argument of the outermost function, or something passed to `keep` when all is done.
    """

    def generate(context, builder, signature, values):
        return _uncounted(context, builder, value, values[0])

    return value(value), generate


def _uncounted(context, builder, kind, value):
    if isinstance(kind, types.BaseTuple):
        parts = [
            _uncounted(context, builder, part, builder.extract_value(value, i))
            for i, part in enumerate(kind)
        ]
        return context.make_tuple(builder, kind, parts)
    if not isinstance(kind, types.Array):
        return value
    array = context.make_array(kind)(context, builder, value)
    array.meminfo = cgutils.get_null_value(array.meminfo.type)
    return array._getvalue()


@inner
def keep(owner):
    """Nothing; but what is passed here has lived until now."""


def place_of(context, builder, kind, array, index):
    """The address of array[index]."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


@intrinsic
def fetch_block(context, memory, start, rows, jump, length):
    """Ask for `length` numbers from memory[start] on, and as many every `jump` after them.

    They are brought near, if they are anywhere; nothing else happens.
    """

    def generate(context, builder, signature, values):
        array, start, rows, jump, length = values
        size = context.get_constant(
            types.intp, context.get_abi_sizeof(context.get_data_type(memory.dtype))
        )
        place = builder.bitcast(place_of(context, builder, memory, array, start), BYTES)
        sizes = [rows, builder.mul(jump, size), builder.mul(length, size)]
        builder.call(_fetcher(builder.module), [place, *sizes])
        return context.get_dummy_value()

    intp = types.intp
    return types.void(memory, intp, intp, intp, intp), generate


BYTES, LINE = ir.IntType(8).as_pointer(), 64


def _fetcher(module):
    """A function of its own, never copied to where it is called: that is what takes time."""
    if "stn_ref_fetch" in module.globals:
        return module.globals["stn_ref_fetch"]
    intp, flag = ir.IntType(64), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [BYTES, flag, flag, flag])
    prefetch = cgutils.get_or_insert_function(module, kind, "llvm.prefetch.p0i8")
    kind = ir.FunctionType(ir.VoidType(), [BYTES, intp, intp, intp])
    function = ir.Function(module, kind, "stn_ref_fetch")
    function.linkage = "linkonce_odr"
    function.attributes.add("noinline")
    start, rows, jump, length = function.args
    builder = ir.IRBuilder(function.append_basic_block())
    lines = builder.add(builder.sdiv(length, intp(LINE)), intp(2))  # wherever the first one begins
    with cgutils.for_range(builder, rows) as row:
        first = builder.gep(start, [builder.mul(row.index, jump)])
        with cgutils.for_range(builder, lines) as line:
            place = builder.gep(first, [builder.mul(line.index, intp(LINE))])
            builder.call(prefetch, [place, flag(0), flag(3), flag(1)])  # to read, to keep, data
    builder.ret_void()
    return function


@intrinsic
def columns4(context, u, i, memory, corner, step, w, j, stride):
    """u[i + s] = Σ_n w[j + n stride] memory[corner + n step + s], s and n = 0 … 3.

    For windows of four pixels squared, the pixels of a row lying together.
    """

    def generate(context, builder, signature, values):
        target, i, source, corner, step, weights, j, stride = values
        number = context.get_data_type(memory.dtype)
        size, row = context.get_abi_sizeof(number), ir.VectorType(number, 4)
        total = None
        for _ in range(4):
            one = builder.load(place_of(context, builder, w, weights, j))
            one = builder.insert_element(ir.Constant(row, ir.Undefined), one, ir.IntType(32)(0))
            many = builder.shuffle_vector(one, ir.Constant(row, ir.Undefined), _lanes([0] * 4))
            pixels = place_of(context, builder, memory, source, corner)
            pixels = builder.load(builder.bitcast(pixels, row.as_pointer()), align=size)
            term = builder.fmul(many, pixels)
            total = term if total is None else builder.fadd(total, term)
            corner, j = builder.add(corner, step), builder.add(j, stride)
        to = builder.bitcast(place_of(context, builder, u, target, i), row.as_pointer())
        builder.store(total, to, align=size)
        return context.get_dummy_value()

    intp = types.intp
    return types.void(u, intp, memory, intp, intp, w, intp, intp), generate


LANES = 8


@intrinsic
def transpose(context, target, i, across, source, j, down):
    """target[i + c across + r] = source[j + r down + c] for r, c = 0 … 7: a block turned over."""

    def generate(context, builder, signature, values):
        to, i, across, of, j, down = values
        number = context.get_data_type(source.dtype)
        size, vector = context.get_abi_sizeof(number), ir.VectorType(number, LANES)
        rows = []
        for _ in range(LANES):
            place = builder.bitcast(place_of(context, builder, source, of, j), vector.as_pointer())
            rows.append(builder.load(place, align=size))
            j = builder.add(j, down)
        half = LANES // 2
        low = [k // 2 + (k % 2) * LANES for k in range(LANES)]
        low, high = _lanes(low), _lanes([k + half for k in low])
        for _ in range(3):  # 2³ = 8: each round interleaves row r with row r + 4
            pairs = list(zip(rows[:half], rows[half:], strict=True))
            rows = [builder.shuffle_vector(a, b, m) for a, b in pairs for m in (low, high)]
        for row in rows:
            place = builder.bitcast(place_of(context, builder, target, to, i), vector.as_pointer())
            builder.store(row, place, align=size)
            i = builder.add(i, across)
        return context.get_dummy_value()

    intp = types.intp
    return types.void(target, intp, intp, source, intp, intp), generate


def _lanes(order):
    return ir.Constant(ir.VectorType(ir.IntType(32), len(order)), order)
