"""t-SNE in a process of its own: python -m core.tsne_child POINTS.npy RESULT.npy PERPLEXITY.

scikit-learn stays out of the server (70 MB), pages stay quick, and memory is returned when the process ends. Not below
core.data, whose package would import torch. scikit-learn itself reports each fiftieth iteration on standard output.
"""

import sys
from pathlib import Path

import numpy as np

from core.files import write_atomically

ITERATIONS = 1000


def main(arguments: list[str]) -> None:
    """Read POINTS, (N, F) float32, write RESULT, (N, 2) float32."""
    from sklearn.manifold import TSNE  # here, so that looking at ITERATIONS does not import it

    source, result, perplexity = arguments
    points = np.load(source, allow_pickle=False)
    # started from the first two principal components and not at random, clusters keep their places (Kobak and Linderman,
    # Nature Biotechnology 39, 2021)
    placed = TSNE(2, perplexity=float(perplexity), init="pca", random_state=0, max_iter=ITERATIONS,
                  verbose=2).fit_transform(points).astype(np.float32)
    write_atomically(Path(result), lambda file: np.save(file, placed))


if __name__ == "__main__":
    main(sys.argv[1:])
