"""Times beside PyTorch and OpenCV, after the results have agreed."""
