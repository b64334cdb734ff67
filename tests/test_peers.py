"""Other frameworks, where installed (extra `peers`): the same numbers, the same gradients."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import stn_ref
from stn_ref.equations import BILINEAR, keys

torch = pytest.importorskip("torch", reason="torch is not installed (extra `peers`)")


def planar(array):
    return torch.tensor(np.ascontiguousarray(array.transpose(0, 3, 1, 2)), requires_grad=True)


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize(("kernel", "mode"), [(BILINEAR, "bilinear"), (keys(-0.75), "bicubic")])
def test_torch_agrees_off_the_knots(align_corners, padding, kernel, mode, rng):
    U, dV = rng.standard_normal((2, 7, 5, 3)), rng.standard_normal((2, 4, 6, 3))
    theta = np.eye(2, 3) + rng.uniform(-0.9, 0.9, (2, 2, 3))
    U_t, theta_t = planar(U), torch.tensor(theta, requires_grad=True)
    functional = torch.nn.functional
    grid = functional.affine_grid(theta_t, (2, 3, 4, 6), align_corners=align_corners)
    V_t = functional.grid_sample(
        U_t, grid, mode=mode, padding_mode=padding, align_corners=align_corners
    )
    V_t.backward(planar(dV).detach())

    if padding == "reflection" and not align_corners:
        padding = "symmetric"  # there it is about the outer edge
    options = {"kernel": kernel, "padding": padding, "align_corners": align_corners}
    V = stn_ref.transform(U, theta, size=(4, 6), **options)
    dU, dtheta = stn_ref.transform_backward(dV, U, theta, **options)
    assert_allclose(V, V_t.detach().numpy().transpose(0, 2, 3, 1), atol=1e-13)
    assert_allclose(dU, U_t.grad.numpy().transpose(0, 2, 3, 1), atol=1e-13)
    assert_allclose(dtheta, theta_t.grad.numpy(), atol=1e-12)
