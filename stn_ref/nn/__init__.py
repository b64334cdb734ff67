"""Networks around spatial transformers (§3.4): layers, losses, optimisers, training.

Layers hold no state: `initialise` makes weights, `forward` takes them and a batch and returns y
and a cache, `backward` takes dy and the cache and returns dx and dparams.
"""

from stn_ref.nn.containers import Parallel, Sequential
from stn_ref.nn.convolution import Conv2d
from stn_ref.nn.dense import Dense, Flatten, Relu
from stn_ref.nn.localisation import convolutional, fully_connected
from stn_ref.nn.losses import softmax_cross_entropy
from stn_ref.nn.optimisers import SGD, Adam, Cosine, Steps
from stn_ref.nn.pooling import AveragePool, AveragePool2d, MaxPool2d, Project
from stn_ref.nn.training import Training, error_percent, fit
from stn_ref.nn.transformer import SpatialTransformer, warps
from stn_ref.nn.trees import cast, count
from stn_ref.nn.weights import load_weights, save_weights

__all__ = [
    "SGD",
    "Adam",
    "AveragePool",
    "AveragePool2d",
    "Conv2d",
    "Cosine",
    "Dense",
    "Flatten",
    "MaxPool2d",
    "Parallel",
    "Project",
    "Relu",
    "Sequential",
    "SpatialTransformer",
    "Steps",
    "Training",
    "cast",
    "convolutional",
    "count",
    "error_percent",
    "fit",
    "fully_connected",
    "load_weights",
    "save_weights",
    "softmax_cross_entropy",
    "warps",
]
