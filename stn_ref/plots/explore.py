"""A window to play in: θ by sliders or by dragged points, and what follows from it, at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import FigureManagerBase
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.widgets import Button, CheckButtons, RadioButtons, Slider

from stn_ref import equations as eq
from stn_ref import plots
from stn_ref.data.distortions import CORNERS, four_points, is_convex
from stn_ref.equations.arguments import Array
from stn_ref.equations.lattice import centre, half_extent
from stn_ref.plots import examples
from stn_ref.plots.descent import Warp
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
SMALL = 9  # points: what is written fits into 700 by 600 pixels
LARGEST = 128  # pixels along a side; what is larger is shrunk first, to stay quick
NO_WINDOW = (
    "cannot open a window: there is no display here, or no toolkit that Matplotlib can use, such "
    "as Tk or Qt; on a desktop, install one (python3-tk, or pip install PyQt6), or write a picture "
    "with --save FILE.png"
)


class Entry(Slider):
    """A slider for an entry of θ, with ∂L/∂θ beside it and an arrow where descent goes."""

    def __init__(self, ax: Axes, label: str, limit: float, value: float) -> None:
        look: dict[str, Any] = {"valinit": value, "color": plots.BLUE, "initcolor": "none"}
        super().__init__(ax, label, -limit, limit, **look)
        self.slope = ax.text(2, 0.5, "", transform=ax.transAxes, ha="right", va="center")
        arrow = {"arrowstyle": "-|>", "color": plots.RED, "lw": 1.5, "shrinkA": 0, "shrinkB": 0}
        self.arrow = ax.annotate("", (0, 0.5), (0, 0.5), arrowprops=arrow)
        for text in (self.label, self.valtext, self.slope):
            text.set_fontsize(SMALL)

    def show(self, slope: float, steepest: float) -> None:
        """∂L/∂θ here, and the largest of all entries in absolute value."""
        for text, number in ((self.valtext, self.val), (self.slope, slope)):
            text.set_text(f"{number:z.2f}".replace("-", "−"))
        self.arrow.set_visible(bool(slope))
        self.arrow.set_position((self.val, 0.5))
        self.arrow.xy = (self.val - slope / (steepest or 1) * self.valmax / 2, 0.5)


class Explorer:
    """Left U under T_θ(G), then V, of U's size, then how descent on L would move each source point.

        L = ½ Σ (V − U)²

    so descent goes towards the identity, where it finds the way. Beside each slider stands ∂L/∂θ;
    a red arrow points where descent goes.

    U       (H, W, C)  C is 1, dark on light, or 3, red, green and blue; from 0 to 1
    figure  an empty one, of at least 7 by 6 inches
    """

    def __init__(self, U: Array, figure: Figure) -> None:
        self.U, self.figure = U, figure
        self.rows = {row[1].name: row for row in examples.every_transformation()}  # title, T, θ
        self.thetas = {name: np.array(self.rows[name][2], float) for name in SLIDERS}
        self.held: int | None = None  # which point the mouse holds
        self.panels = [self.figure.add_axes((x, 0.43, 0.31, 0.51)) for x in (0.02, 0.345, 0.67)]
        self.transformations = self._radio("transformation", SLIDERS, 0.02, self._turn_to)
        self.kernels = self._radio("kernel", KERNELS, 0.225, self.draw)
        self.paddings = self._radio("padding", eq.PADDINGS, 0.415, self.draw)
        self.corners = CheckButtons(self._place(0.415, 0.02, 0.16, 0.06), ["align_corners"], [True])
        self.corners.labels[0].set_fontsize(SMALL)
        self.corners.on_clicked(self.draw)
        self.identity = self._button("identity", 0.225, self._to_identity)
        self.descent = self._button("descend (d)", 0.6, self.descend)
        for event in ("button_press_event", "motion_notify_event", "button_release_event"):
            self.figure.canvas.mpl_connect(event, self._drag)
        self.figure.canvas.mpl_connect("key_press_event", self._key)
        self.sliders: list[Entry] = []
        self.loss = self._text(0.6, 0.365)
        self.slopes = self._text(0.98, 0.325, r"$\partial L/\partial\theta$", ha="right")
        self.hint = self._text(0.6, 0.24, "Drag the green points.")
        self.note = self._text(0.745, 0.045)
        self._turn_to()

    def _text(self, x: float, y: float, text: str = "", **look: Any) -> Text:
        return self.figure.text(x, y, text, fontsize=SMALL, **look)

    def _place(self, x: float, y: float, width: float, height: float) -> Any:
        ax = self.figure.add_axes((x, y, width, height))
        ax.spines[:].set_visible(False)
        return ax

    def _radio(
        self, title: str, names: Iterable[str], x: float, then: Callable[..., None]
    ) -> RadioButtons:
        names = list(names)
        height = 0.036 * len(names)
        ax = self._place(x, 0.355 - height, 0.16, height)
        ax.set_title(title, loc="left", fontsize=SMALL, fontweight="bold")
        look: dict[str, Any] = {"label_props": {"fontsize": [SMALL]}}
        radio = RadioButtons(ax, names, activecolor=plots.BLUE, **look)
        radio.on_clicked(then)
        return radio

    def _button(self, label: str, x: float, then: Callable[..., None]) -> Button:
        button = Button(self._place(x, 0.03, 0.13, 0.045), label, color="#E8F1F8")
        button.label.set_fontsize(SMALL)
        button.on_clicked(then)
        return button

    @property
    def name(self) -> str:
        """The transformation's."""
        return self.transformations.value_selected

    @property
    def theta(self) -> Array:
        """θ (*identity().shape)."""
        return self.thetas[self.name]

    @property
    def aligned(self) -> bool:
        """Whether ±1 are the centres of the corner pixels."""
        return self.corners.get_status()[0]

    def warp(self) -> Warp:
        """U, read as the widgets say."""
        padding = self.paddings.value_selected
        sampler: dict[str, Any] = {
            "kernel": KERNELS[self.kernels.value_selected],
            "padding": padding,
            "fill": 0.5 if padding == "constant" else 0.0,
            "backend": "reference",  # there is nothing to compile
        }
        return Warp(self.U, self.rows[self.name][1], self.aligned, sampler)

    def draw(self, *_: object) -> None:
        """Draw the three panels again, and ∂L/∂θ."""
        warp, (left, middle, right) = self.warp(), self.panels
        xy, V, loss = warp.forward(self.theta)
        dxy, dtheta = warp.backward(self.theta, xy, V)
        for ax in self.panels:
            ax.clear()
        title = self.rows[self.name][0]
        plots.grid_and_output(self.U, xy, V, title=title, axes=[left, middle])
        plots.gradient_field(self.U, xy, dxy, longest=max(self.U.shape) / 8, ax=right)
        right.set_title(r"$-\partial L/\partial(x, y)$")
        for ax in self.panels:
            ax.title.set_fontsize(SMALL + 1)
        self.loss.set_text(f"$L = |V - U|^2 / 2$ = {loss:.4g}")
        self.note.set_text("")
        if not self.sliders:
            left.plot(*self.points().T, "o", color=plots.GREEN, ms=9, mec="white")
        for slider, slope in zip(self.sliders, dtheta.flat, strict=False):
            slider.show(float(slope), float(np.max(abs(dtheta))))
        self.figure.canvas.draw_idle()

    def descend(self, *_: object) -> None:
        """Take one step down the loss, or say that there is none."""
        found = self.warp().step(
            self.theta, self.limit, lambda theta: not self.folds(self.anchors(theta))
        )
        if found is not None:
            self.thetas[self.name], eta = found
            self._turn_to()
        self.note.set_text("no step lowers L" if found is None else f"η = {eta:.2g}")
        self.figure.canvas.draw_idle()

    def anchors(self, theta: Array) -> Array:
        """The points that can be dragged (K, 2), normalised: θ, or a projective map's corners."""
        if self.name != "projective":
            return theta
        grid: Array = eq.PROJECTIVE.grid(theta[None], CORNERS[None])[0, 0]
        return grid

    def folds(self, anchors: Array) -> bool:
        """Whether these corners turn the frame inside out."""
        return self.name == "projective" and not is_convex(anchors[None])[0]

    def points(self) -> Array:
        """Where the anchors are, pixels."""
        anchors = self.anchors(self.theta)[None, None]
        xy: Array = eq.to_pixels(anchors, self.U.shape[:2], align_corners=self.aligned)[0, 0]
        return xy

    @property
    def limit(self) -> float:
        """How far from 0 an entry of θ may go."""
        return {"rotation": np.pi}.get(self.name, 2.0) if SLIDERS[self.name] else np.inf

    def _turn_to(self, *_: object) -> None:
        """Another transformation, with sliders of its own or none, as it was left."""
        for slider in self.sliders:
            slider.disconnect_events()
            slider.ax.remove()
        self.sliders = []
        for k, label in enumerate(SLIDERS[self.name]):
            ax = self._place(0.64, 0.285 - 0.04 * k, 0.17, 0.025)
            self.sliders.append(Entry(ax, label, self.limit, self.theta.flat[k]))
            self.sliders[-1].on_changed(self._slide)
        self.hint.set_visible(not self.sliders)
        self.slopes.set_visible(bool(self.sliders))
        self.draw()

    def _slide(self, _: float) -> None:
        self.theta.ravel()[:] = [slider.val for slider in self.sliders]
        self.draw()

    def _to_identity(self, _: object) -> None:
        self.thetas[self.name] = np.array(self.rows[self.name][1].identity(), float)
        self._turn_to()

    def _key(self, event: Any) -> None:
        if event.key == "d":
            self.descend()

    def _drag(self, event: Any) -> None:
        """Take the nearest point, unless all are far, and move it with the mouse."""
        if event.name == "button_release_event":
            self.held = None
        if self.sliders or event.inaxes is not self.panels[0]:
            return
        mouse, points = np.array([event.xdata, event.ydata]), self.points()
        if event.name == "button_press_event":
            far = np.hypot(*(points - mouse).T)
            self.held = int(np.argmin(far)) if np.min(far) < 0.06 * max(self.U.shape) else None
        elif self.held is not None:
            points[self.held] = mouse
            sides = self.U.shape[1::-1]
            middle, extent = np.array([(centre(S), half_extent(S, self.aligned)) for S in sides]).T
            anchors = (points - middle) / extent
            if not self.folds(anchors):
                corners = self.name == "projective"
                theta = four_points(CORNERS[None], anchors[None])[0] if corners else anchors
                self.thetas[self.name] = theta
                self.draw()


def explore(image: Path | None = None, save: Path | None = None) -> None:
    """Open the window, on an image file or a digit; or write what it shows at first.

    Raises OSError if there is nothing to open it on, or a file cannot be read or written.
    """
    U = examples.a_digit() if image is None else fitted(on_white(read_image(image)), LARGEST)
    try:
        with plt.rc_context({"toolbar": "None"}):  # its pan and zoom would take the mouse
            figure = plt.figure(figsize=(11.5, 6.9))
    except ImportError as error:
        raise OSError(f"{NO_WINDOW} ({error})") from error
    manager = figure.canvas.manager
    if save is None and type(manager) is FigureManagerBase:  # it cannot show
        plt.close(figure)
        raise OSError(no_window())
    if manager is not None:
        manager.set_window_title("stn_ref explore: drag the points, see the grid and the gradient")
    _window = Explorer(U, figure)  # widgets live as long as something holds them
    if save is None:
        plt.show()
    else:
        print(plots.save(figure, save, dpi=100))


def no_window() -> str:
    """Why there is none, and how to get one."""
    backend = matplotlib.get_backend()
    if os.environ.get("MPLBACKEND", "").lower() != backend.lower():
        return NO_WINDOW
    return (
        f"cannot open a window: MPLBACKEND={backend} is set in the environment, and this backend "
        "draws none; unset it, or name one that does, such as tkagg or qtagg, or write a picture "
        "with --save FILE.png"
    )
