"""Probing: what can be read off the vectors that a trained network makes?

A **probe** is a classifier trained on frozen vectors (Alain & Bengio, 2017, *Understanding
Intermediate Layers Using Linear Classifier Probes*). It is linear, so that it cannot work out for
itself what the network did not. Where it is right on vectors it has not seen, they hold the answer.
How much of that is the probe's own learning, a control tells: the same probe for random labels
(Hewitt & Liang, 2019, *Designing and Interpreting Probes with Control Tasks*), or on the vectors of
an untrained network (Conneau et al., 2018, *What You Can Cram into a Single Vector*). That the
network itself uses what a probe finds, no probe can show.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F


class LinearProbe:
    """Multinomial logistic regression: one linear layer and a softmax.

    >>> features, labels = torch.tensor([[1.0], [2.0], [8.0], [9.0]]), torch.tensor([0, 0, 1, 1])
    >>> probe = LinearProbe().fit(features, labels, n_classes=2)
    >>> probe
    LinearProbe(n_features=1, n_classes=2)
    >>> probe.predict(torch.tensor([[3.0], [7.0]]))
    tensor([0, 1])
    """

    weight: Tensor | None = (
        None  # (n_classes, d_features), for features as `fit` scales them
    )

    def __repr__(self) -> str:
        if self.weight is None:
            return "LinearProbe()"
        n_classes, n_features = self.weight.shape
        return f"LinearProbe(n_features={n_features}, n_classes={n_classes})"

    def fit(
        self,
        features: Float[Tensor, "n d_features"],
        labels: Int[Tensor, " n"],
        n_classes: int,
        l2: float | int = 1e-3,
    ) -> "LinearProbe":
        """Lower the mean cross-entropy (nats) + l2 / 2 * the sum of the squared weights.

        Every feature is first moved and scaled to mean 0 and standard deviation 1. The objective
        has one lowest point, and L-BFGS goes there: nothing is left to chance.

        Args:
            features: the frozen vectors.
            labels: the right class of each, from 0 to n_classes - 1.
            n_classes: how many classes; some may have no example.
            l2: the larger, the smaller the weights. The biases are free.

        Returns:
            The probe.

        Raises:
            ValueError: there is no vector, one holds what is no number, a label is outside the
                classes, n_classes is below 2, or l2 is not above 0.
        """
        features, labels = features.detach().cpu().double(), labels.cpu()
        check_probe(features, labels, n_classes, l2)
        self.mean = features.mean(dim=0)
        spread = features.std(dim=0, correction=0)
        negligible = 1e-12 * features.abs().amax(dim=0)
        self.std = spread.where(spread > negligible, 1)  # of a constant feature: 0
        self.weight = features.new_zeros(n_classes, features.shape[1])
        self.bias = features.new_zeros(n_classes)
        scaled = (features - self.mean) / self.std
        parameters = [self.weight.requires_grad_(), self.bias.requires_grad_()]
        optimizer = torch.optim.LBFGS(
            parameters,
            max_iter=1000,
            tolerance_grad=1e-7,
            tolerance_change=1e-12,
            line_search_fn="strong_wolfe",
        )

        def objective() -> Tensor:
            optimizer.zero_grad()
            logits = F.linear(scaled, self.weight, self.bias)
            loss = F.cross_entropy(logits, labels) + l2 / 2 * self.weight.square().sum()
            loss.backward()
            return loss

        optimizer.step(objective)
        self.weight, self.bias = self.weight.detach(), self.bias.detach()
        return self

    def predict(self, features: Float[Tensor, "n d_features"]) -> Int[Tensor, " n"]:
        """The most probable class of each vector.

        Raises:
            ValueError: the probe was not fitted, or to vectors of another size.
        """
        if self.weight is None:
            raise ValueError("the probe has 0 weights; it must be fitted first")
        if features.shape[1] != len(self.mean):
            raise ValueError(
                f"d_features={features.shape[1]}, fitted with {len(self.mean)}; both must be "
                "the same"
            )
        scaled = (features.detach().cpu().double() - self.mean) / self.std
        return F.linear(scaled, self.weight, self.bias).argmax(dim=1)

    def accuracy(
        self, features: Float[Tensor, "n d_features"], labels: Int[Tensor, " n"]
    ) -> float:
        """The share of the vectors whose class is found.

        Raises:
            ValueError: there is no vector, or as `predict`.
        """
        if len(labels) == 0:
            raise ValueError("0 vectors; at least 1 is needed")
        return (self.predict(features) == labels.cpu()).double().mean().item()


def check_probe(
    features: Float[Tensor, "n d_features"],
    labels: Int[Tensor, " n"],
    n_classes: int,
    l2: float | int,
) -> None:
    """Raise a ValueError where a probe cannot be fitted (see `LinearProbe.fit`)."""
    if len(labels) == 0:
        raise ValueError("0 vectors; at least 1 is needed")
    if n_classes < 2:
        raise ValueError(f"n_classes={n_classes}; there must be at least 2")
    lowest, highest = int(labels.min()), int(labels.max())
    if not 0 <= lowest <= highest < n_classes:
        raise ValueError(
            f"labels from {lowest} to {highest}; they must be 0 .. {n_classes - 1} "
            f"(n_classes={n_classes})"
        )
    if not 0 < l2 < math.inf:
        raise ValueError(f"l2={l2}; it must be above 0, and finite")
    if not features.isfinite().all():
        row = int((~features.isfinite().all(dim=1)).nonzero()[0])
        raise ValueError(f"vector {row} holds {features[row].tolist()}; give numbers")
