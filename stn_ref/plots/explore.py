"""A window to play in: θ by sliders or by dragged points, and what follows from it, at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.backend_bases import FigureManagerBase
from matplotlib.figure import Figure
from matplotlib.widgets import Button, CheckButtons, RadioButtons, Slider

import stn_ref
from stn_ref import equations as eq
from stn_ref import plots
from stn_ref.backends.pixels import source_pixels
from stn_ref.data.distortions import CORNERS, four_points, is_convex
from stn_ref.equations.arguments import Array
from stn_ref.equations.lattice import centre, half_extent
from stn_ref.plots import examples
from stn_ref.plots.images import fitted, on_white, read_image

SLIDERS = {  # the names of θ's entries; points are dragged where there are none
    "affine": [rf"$\theta_{{{i}{j}}}$" for i in "12" for j in "123"],
    "attention": ["$s$", "$t_x$", "$t_y$"],
    "translation": ["$t_x$", "$t_y$"],
    "rotation": ["angle"],
    "similarity": ["$a$", "$b$", "$t_x$", "$t_y$"],
    "projective": [],
    "piecewise affine": [],
    "thin plate spline": [],
}
KERNELS = {
    "bilinear": eq.BILINEAR,
    "integer": eq.INTEGER,
    "keys(−¾)": eq.keys(),
    "normalised hat": eq.normalised(eq.hat(2)),
    "lanczos(3)": eq.lanczos(),
    "bspline(3)": eq.bspline(3),
}
LARGEST = 128  # pixels along a side; what is larger is shrunk first, to stay quick
NO_WINDOW = (
    "cannot open a window: there is no display here, or no toolkit that Matplotlib can use, such "
    "as Tk or Qt; on a desktop, install one (python3-tk, or pip install PyQt6), or write a picture "
    "with --save FILE.png"
)


class Explorer:
    """Left U under T_θ(G), then V, of U's size, then how descent on L would move each source point.

    L = ½ Σ (V − U)², so descent goes towards the identity, where it finds the way.

    U       (H, W, C)  C is 1, dark on light, or 3, red, green and blue; from 0 to 1
    figure  an empty one, of about 11 by 7 inches
    """

    def __init__(self, U: Array, figure: Figure) -> None:
        self.U, self.figure = U, figure
        self.rows = {row[1].name: row for row in examples.every_transformation()}  # title, T, θ
        self.values = {name: np.array(self.rows[name][2], float) for name in SLIDERS}
        tilted = eq.PROJECTIVE.grid(self.values["projective"][None], CORNERS[None])
        self.values["projective"] = tilted[0, 0]  # where its corners are; else θ
        self.held: int | None = None  # which point the mouse holds
        self.panels = [self.figure.add_axes((x, 0.4, 0.31, 0.53)) for x in (0.02, 0.345, 0.67)]
        self.transformations = self._radio("transformation", SLIDERS, 0.02, self._turn_to)
        self.kernels = self._radio("kernel", KERNELS, 0.19, self.draw)
        self.paddings = self._radio("padding", eq.PADDINGS, 0.36, self.draw)
        self.corners = CheckButtons(self._place(0.36, 0.02, 0.14, 0.06), ["align_corners"], [True])
        self.identity = Button(self._place(0.19, 0.03, 0.1, 0.045), "identity", color="#E8F1F8")
        self.corners.on_clicked(self.draw)
        self.identity.on_clicked(self._to_identity)
        for event in ("button_press_event", "motion_notify_event", "button_release_event"):
            self.figure.canvas.mpl_connect(event, self._drag)
        self.sliders: list[Slider] = []
        self.hint = self.figure.text(0.6, 0.24, "Drag the green points.", fontsize=11)
        self._turn_to()

    def _place(self, x: float, y: float, width: float, height: float) -> Any:
        ax = self.figure.add_axes((x, y, width, height))
        ax.spines[:].set_visible(False)
        return ax

    def _radio(
        self, title: str, names: Iterable[str], x: float, then: Callable[..., None]
    ) -> RadioButtons:
        names = list(names)
        height = 0.036 * len(names)
        ax = self._place(x, 0.325 - height, 0.16, height)
        ax.set_title(title, loc="left", fontsize=10, fontweight="bold")
        radio = RadioButtons(ax, names, activecolor=plots.BLUE)
        radio.on_clicked(then)
        return radio

    @property
    def name(self) -> str:
        """The transformation's."""
        return self.transformations.value_selected

    def theta(self) -> Array:
        """θ (*identity().shape)."""
        value = self.values[self.name]
        if self.name == "projective":
            value = four_points(CORNERS[None], value[None])[0]
        return value

    def draw(self, *_: object) -> None:
        """Draw the three panels again."""
        U, size, theta = self.U[None], self.U.shape[:2], self.theta()
        title, transformation, _theta = self.rows[self.name]
        padding = self.paddings.value_selected
        sampler: dict[str, Any] = {
            "kernel": KERNELS[self.kernels.value_selected],
            "padding": padding,
            "fill": 0.5 if padding == "constant" else 0.0,
            "backend": "reference",  # there is nothing to compile
        }
        aligned = self.corners.get_status()[0]
        xy = source_pixels(theta[None], transformation, size, size, aligned)
        V = stn_ref.sample(U, xy, **sampler)
        dV = np.where(abs(V - U) < 1e-9, 0, V - U)  # rounding pulls nowhere
        dxy = stn_ref.sample_backward(dV, U, xy, **sampler)[1]
        left, middle, right = self.panels
        for ax in self.panels:
            ax.clear()
        plots.grid_and_output(self.U, xy[0], V[0], title=title, axes=[left, middle])
        plots.gradient_field(self.U, xy[0], dxy[0], longest=max(size) / 8, ax=right)
        loss = np.nansum(dV**2) / 2
        right.set_title(rf"$-\partial L/\partial(x, y)$,  $L = |V - U|^2 / 2$ = {loss:.1f}")
        if not self.sliders:
            left.plot(*self._points().T, "o", color=plots.GREEN, ms=9, mec="white")
        self.figure.canvas.draw_idle()

    def _points(self) -> Array:
        """Where the points that can be dragged are, pixels."""
        aligned = self.corners.get_status()[0]
        points = self.values[self.name][None, None]
        xy: Array = eq.to_pixels(points, self.U.shape[:2], align_corners=aligned)[0, 0]
        return xy

    def _turn_to(self, *_: object) -> None:
        """Another transformation, with sliders of its own or none, as it was left."""
        for slider in self.sliders:
            slider.disconnect_events()
            slider.ax.remove()
        most = np.pi if self.name == "rotation" else 2
        self.sliders = []
        for k, label in enumerate(SLIDERS[self.name]):
            look: dict[str, Any] = {"valinit": self.values[self.name].flat[k], "valfmt": "%.2f"}
            ax = self._place(0.6, 0.275 - 0.048 * k, 0.32, 0.03)
            self.sliders.append(Slider(ax, label, -most, most, color=plots.BLUE, **look))
            self.sliders[-1].on_changed(self._slide)
        self.hint.set_visible(not self.sliders)
        self.draw()

    def _slide(self, _: float) -> None:
        self.values[self.name].ravel()[:] = [slider.val for slider in self.sliders]
        self.draw()

    def _to_identity(self, _: object) -> None:
        still = CORNERS if self.name == "projective" else self.rows[self.name][1].identity()
        self.values[self.name] = np.array(still, float)
        self._turn_to()

    def _drag(self, event: Any) -> None:
        """Take the nearest point, unless all are far, and move it with the mouse."""
        if event.name == "button_release_event":
            self.held = None
        zooms = getattr(self.figure.canvas.toolbar, "mode", "")
        if self.sliders or zooms or event.inaxes is not self.panels[0]:
            return
        mouse, aligned = np.array([event.xdata, event.ydata]), self.corners.get_status()[0]
        if event.name == "button_press_event":
            far = np.hypot(*(self._points() - mouse).T)
            self.held = int(np.argmin(far)) if np.min(far) < 0.06 * max(self.U.shape) else None
        elif self.held is not None:
            moved, sides = self.values[self.name].copy(), self.U.shape[1::-1]
            moved[self.held] = [
                (p - centre(S)) / half_extent(S, aligned) for p, S in zip(mouse, sides, strict=True)
            ]
            if self.name != "projective" or is_convex(moved[None])[0]:  # else inside out
                self.values[self.name] = moved
                self.draw()


def explore(image: Path | None = None, save: Path | None = None) -> None:
    """Open the window, on an image file or a digit; or write what it shows at first.

    Raises OSError if there is nothing to open it on, or a file cannot be read or written.
    """
    U = examples.a_digit() if image is None else fitted(on_white(read_image(image)), LARGEST)
    try:
        figure = plt.figure(figsize=(11.5, 6.9))
    except ImportError as error:
        raise OSError(f"{NO_WINDOW} ({error})") from error
    if save is None and type(figure.canvas.manager) is FigureManagerBase:  # it cannot show
        plt.close(figure)
        raise OSError(NO_WINDOW)
    _window = Explorer(U, figure)  # widgets live as long as something holds them
    if save is None:
        plt.show()
    else:
        print(plots.save(figure, save, dpi=100))
