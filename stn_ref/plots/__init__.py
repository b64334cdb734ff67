"""Pictures of the equations, on anyone's data: arrays in, Matplotlib axes out.

own_data   a warped grid, what the gradient pulls, a kernel, a training
canvas     colours, axes and files, under all the others; `sheets`, maps side by side
diagrams   the paper explained; `galleries`, many examples on a page; `examples`, what they show
films      what transformers look at while they learn
solids     volumes and signals
roofline   times beside what the memory allows
explore    a window to play in; `images`, picture files as feature maps

Each function draws into the axes or the figure that it is given, else into new ones, and returns
the axes; `save` takes either. Colours are those of Okabe and Ito, told apart by colour-blind
readers; lines differ in style, points in marker, and signed values in lightness, too.
"""

from typing import TYPE_CHECKING

from stn_ref.lazy import lazily

if TYPE_CHECKING:
    from stn_ref.plots.canvas import (
        BLUE,
        GREEN,
        GREY,
        ORANGE,
        RED,
        SIGNED,
        WIDTH,
        animate,
        headline,
        save,
        show,
    )
    from stn_ref.plots.own_data import (
        Frame,
        control_points,
        gradient_field,
        grid_and_output,
        grid_lines,
        kernel,
        source_and_target,
        training_film,
        warped_grid,
    )
    from stn_ref.plots.sheets import compare, contact_sheet, inked
else:
    HOMES = {
        "canvas": "BLUE GREEN GREY ORANGE RED SIGNED WIDTH animate headline save show",
        "own_data": "Frame control_points gradient_field grid_and_output grid_lines kernel "
        "source_and_target training_film warped_grid",
        "sheets": "compare contact_sheet inked",
    }
    __getattr__, __dir__ = lazily(
        __name__, {name: home for home, names in HOMES.items() for name in names.split()}
    )

__all__ = ["BLUE", "GREEN", "GREY", "ORANGE", "RED", "SIGNED", "WIDTH", "Frame", "animate"]
__all__ += ["compare", "contact_sheet", "control_points", "gradient_field", "grid_and_output"]
__all__ += [
    "grid_lines",
    "headline",
    "inked",
    "kernel",
    "save",
    "show",
    "source_and_target",
    "training_film",
]
__all__ += ["warped_grid"]
